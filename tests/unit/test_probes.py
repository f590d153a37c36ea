"""Each probe catches the fault that is planted for it, no other probe does, and none accuses what
is clean.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from bench.contract.request import CandidateList, Failure
from bench.core.errors import RerankerError
from bench.probes import PROBES
from bench.probes.orders import move
from bench.probes.reranker import Probed, probe
from tests.support.planted_faults import FAULTS, LISTS, QRELS, SENSITIVE, Planted, PlantedOptions


def probed(kind: type[Planted] = Planted, names: Any = (), **options: Any) -> Probed:
    def build(settings: Any) -> Any:
        return kind(PlantedOptions(**{**options, **settings}))

    return probe(build({}), build, LISTS, QRELS, names=names)


def outcomes(results: Probed, outcome: str) -> set[str]:
    return {result.name for result in results.results if result.outcome == outcome}


def test_a_clean_reranker_is_accused_by_none() -> None:
    results = probed()
    assert outcomes(results, "accused") == outcomes(results, "failed") == set()
    assert outcomes(results, "not applicable") == set()
    assert outcomes(results, "holds") == set(FAULTS)
    assert outcomes(results, "reported") == set(SENSITIVE)
    assert set(PROBES) == {*FAULTS, *SENSITIVE}
    assert (results.repeats, results.tolerance) == (True, 1e-3)


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_caught_by_its_probe_and_by_no_other(fault: str) -> None:
    assert outcomes(probed(fault=fault), "accused") == {fault}


@pytest.mark.parametrize("fault", SENSITIVE)
def test_what_is_only_reported_shows_in_its_numbers(fault: str) -> None:
    plain = {result.name: result for result in probed(names=[fault]).results}
    results = {result.name: result for result in probed(fault=fault).results}
    assert outcomes(probed(fault=fault), "accused") == set()
    mine = results[fault]
    assert mine.outcome == "reported"
    assert (mine.tau, mine.gain) != (plain[fault].tau, plain[fault].gain)


class Noisy(Planted):
    """Gives other numbers in every call."""

    def rerank(self, requests: Any) -> list[Any]:
        generator = np.random.default_rng(self.calls)
        return [scores + generator.normal(0, 2, len(scores)) for scores in super().rerank(requests)]


def test_what_differs_from_call_to_call_is_noise_to_all_other_probes() -> None:
    results = probed(Noisy)
    assert not results.repeats
    assert outcomes(results, "accused") == {"second-call"}


class PrefersTheFirst(Planted):
    """A bias by place shows wherever places change: no single probe alone can see it."""

    def rerank(self, requests: Any) -> list[Any]:
        places = [-2.0 * np.arange(len(request.docs)) for request in requests]
        return [scores + own for scores, own in zip(super().rerank(requests), places, strict=True)]


def test_a_bias_by_place_is_caught_by_each_probe_that_moves_documents() -> None:
    assert {"reversed", "shuffled", "split", "alone"} <= outcomes(
        probed(PrefersTheFirst), "accused"
    )


class PrefersTheStartOfACall(Planted):
    """All lists of a call are one batch, as of a model that scores pairs."""

    def rerank(self, requests: Any) -> list[Any]:
        answers: list[Any] = []
        place = 0
        for request, scores in zip(requests, super().rerank(requests), strict=True):
            answers.append(scores - 2.0 * np.arange(place, place + len(request.docs)))
            place += len(request.docs)
        return answers


def test_parts_of_a_list_are_asked_in_calls_of_their_own() -> None:
    accused = outcomes(probed(PrefersTheStartOfACall, names=["split", "alone"]), "accused")
    assert accused == {"split", "alone"}


def test_documents_that_now_tie_change_their_order_where_their_ids_do() -> None:
    request = CandidateList("q", "query", ["a", "b", "c"], ["A", "B", "C"])
    before = np.array([3.0, 2.0, 1.0])
    assert move(request, before, np.array([2.0, 2.0, 1.0]), 0.001).swapped == pytest.approx(1 / 3)
    assert move(request, before[::-1], np.array([1.0, 2.0, 2.0]), 0.001).swapped == 0


class Failing(Planted):
    """Cannot answer lists with a blank document, nor one query that is shuffled; a call with JSON
    breaks off.
    """

    def rerank(self, requests: Sequence[CandidateList]) -> list[Any]:
        if requests[0].docs[0].startswith("{"):
            raise RerankerError("the service is gone")
        answers = super().rerank(requests)
        for number, request in enumerate(requests):
            is_mixed = list(request.doc_ids) not in (
                sorted(request.doc_ids),
                sorted(request.doc_ids, reverse=True),
            )
            if "" in request.docs or (is_mixed and request.query_id == "q1"):
                answers[number] = Failure("timed out")
        return answers


def test_a_failure_is_no_number() -> None:
    results = {
        result.name: result
        for result in probed(Failing, names=["blank", "shuffled", "json", "title"]).results
    }
    blank, json, shuffled = results["blank"], results["json"], results["shuffled"]
    assert (blank.outcome, blank.reason, blank.failed) == ("failed", "timed out", 6)
    assert (blank.tau, blank.swapped, blank.change) == (None, None, None)
    assert (json.outcome, json.reason, json.queries) == ("failed", "the service is gone", 0)
    assert (shuffled.outcome, shuffled.queries, shuffled.failed) == ("holds", 5, 1)
    assert shuffled.reason == "1 query failed (timed out)"
    assert results["title"].outcome == "holds"


class MostlyFailing(Planted):
    """Answers a single query once its documents are shuffled."""

    def rerank(self, requests: Sequence[CandidateList]) -> list[Any]:
        answers = super().rerank(requests)
        for number, request in enumerate(requests):
            is_mixed = list(request.doc_ids) not in (
                sorted(request.doc_ids),
                sorted(request.doc_ids, reverse=True),
            )
            if is_mixed and request.query_id != "q1":
                answers[number] = Failure("timed out")
        return answers


def test_a_probe_of_which_most_queries_failed_does_not_hold() -> None:
    (shuffled,) = [
        result
        for result in probed(MostlyFailing, names=["shuffled"]).results
        if result.name == "shuffled"
    ]
    assert (shuffled.outcome, shuffled.queries, shuffled.failed) == ("failed", 0, 5)
    assert shuffled.reason == "5 queries of 6 failed (timed out)"
    assert (shuffled.tau, shuffled.swapped, shuffled.change) == (None, None, None)


class Listwise(Planted):
    pointwise = False

    @property
    def is_sure_pointwise(self) -> bool:
        return False


def test_what_does_not_apply_is_named_with_its_reason() -> None:
    results = {result.name: result for result in probed(Listwise).results}
    for name in ("alone", "split", "neighbour"):
        assert results[name].outcome == "not applicable"
        assert results[name].reason == "a document's score may depend on the other documents"
    assert results["reversed"].outcome == "holds"


class Rounded(Planted):
    """Its worst two documents lie closer than rounding explains, and change places."""

    def rerank(self, requests: Sequence[CandidateList]) -> list[Any]:
        answers: list[Any] = []
        for request, scores in zip(requests, super().rerank(requests), strict=True):
            sign = 1 if next(iter(request.doc_ids)) == "d0" else -1
            answers.append(np.where(scores < 1.5, sign * 1e-4 * scores, scores))
        return answers


def test_pairs_closer_than_the_number_format_explains_accuse_nobody() -> None:
    (result,) = probed(Rounded, names=["reversed"]).results
    assert (result.outcome, result.swapped) == ("holds", 0)
    assert result.tau is not None
    assert result.tau < 1
