"""The quality pass and its cache: chunks reach the disk, come back bit for bit, and a broken
contract is one clear error.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.contract.request import CandidateList, Usage
from bench.core.errors import RerankerError
from bench.rerankers.description import identified
from bench.scoring.cache import ScoreCache, request_key
from bench.scoring.engine import chunks, score
from tests.support.fakes import FakeOptions, FlakyReranker, HashReranker
from tests.support.made_requests import requests


@pytest.fixture(autouse=True)
def cache_in_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RERANK_BENCH_CACHE", str(tmp_path / "cache"))


def reranker(kind: type[HashReranker] = HashReranker, **options: Any) -> HashReranker:
    return kind(FakeOptions(**options))


def test_a_second_pass_reads_every_score_and_computes_none(tmp_path: Path) -> None:
    log = tmp_path / "log"
    first = score(reranker(log=str(log)), requests(7, docs=5), chunk_pairs=12)
    assert (first.cached_queries, first.computed_queries, log.stat().st_size) == (0, 7, 35)
    second = score(reranker(log=str(log)), requests(7, docs=5), chunk_pairs=12)
    assert (second.cached_queries, second.computed_queries, log.stat().st_size) == (7, 0, 35)
    assert second.description == first.description
    assert second.usage == first.usage
    for query_id, values in first.scores.items():
        assert np.array_equal(values, second.scores[query_id])


def test_fresh_scores_anew_and_another_reranker_shares_nothing(tmp_path: Path) -> None:
    log = tmp_path / "log"
    score(reranker(log=str(log)), requests(7, docs=5), chunk_pairs=100)
    assert (
        score(
            reranker(log=str(log)), requests(7, docs=5), chunk_pairs=100, fresh=True
        ).computed_queries
        == 7
    )
    assert score(reranker(salt="other"), requests(7, docs=5), chunk_pairs=100).cached_queries == 0


@pytest.mark.parametrize("before", [5, 10, 15, 20, 100])
@pytest.mark.parametrize("after", [5, 10, 15, 20, 100])
def test_after_fresh_the_newest_score_counts_whatever_its_file_is_called(
    before: int, after: int
) -> None:
    """Chunks of another size lie in files of other names, some of which sort before the old
    ones.
    """
    old, new = constant_reranker(1.0), constant_reranker(2.0)
    score(old, requests(7, docs=5), chunk_pairs=before)
    for path in ScoreCache(identified(old)).folder.glob("*.npz"):
        os.utime(
            path, ns=(0, 0)
        )  # written long ago: a file system may give two quick writes one time
    score(new, requests(7, docs=5), chunk_pairs=after, fresh=True)
    result = score(old, requests(7, docs=5), chunk_pairs=before)
    assert result.cached_queries == 7
    assert {float(value) for values in result.scores.values() for value in values} == {2.0}


def constant_reranker(value: float) -> HashReranker:
    """A reranker whose scores change although its fingerprint does not, as a service's may."""

    class Constant(HashReranker):
        def score(self, pairs: Any) -> Any:
            return np.full(len(pairs), value)

    return Constant(FakeOptions())


def test_a_changed_text_is_scored_anew_and_the_rest_is_not() -> None:
    score(reranker(), requests(7, docs=5), chunk_pairs=10)
    changed = requests(7, docs=5)
    changed[3] = CandidateList(
        "q3", "query 3", changed[3].doc_ids, ["another", *changed[3].docs[1:]]
    )
    result = score(reranker(), changed, chunk_pairs=10)
    assert (result.cached_queries, result.computed_queries) == (6, 1)


def test_a_damaged_chunk_is_scored_anew() -> None:
    score(reranker(), requests(7, docs=5), chunk_pairs=10)
    folder = ScoreCache(identified(reranker())).folder
    chunk = sorted(folder.glob("*.npz"))[0]
    with np.load(chunk) as whole:
        lost = len(whole["keys"])
    chunk.write_bytes(chunk.read_bytes()[:40])
    result = score(reranker(), requests(7, docs=5), chunk_pairs=10)
    assert (result.cached_queries, result.computed_queries) == (7 - lost, lost)


def test_what_was_finished_before_a_crash_is_kept() -> None:
    with pytest.raises(RerankerError, match="not finite"):
        score(reranker(FlakyReranker, wrong="nan"), requests(7, docs=5), chunk_pairs=10)

    class DiesLater(HashReranker):
        __module__, __qualname__ = (
            HashReranker.__module__,
            HashReranker.__qualname__,
        )  # shares scores

        calls = 0

        def score(self, pairs: Any) -> Any:
            DiesLater.calls += 1
            if DiesLater.calls == 3:
                raise KeyboardInterrupt
            return super().score(pairs)

    with pytest.raises(KeyboardInterrupt):
        score(reranker(DiesLater), requests(7, docs=5), chunk_pairs=10)
    assert score(reranker(), requests(7, docs=5), chunk_pairs=10).cached_queries == 4


def test_a_failed_query_is_counted_and_not_cached() -> None:
    result = score(reranker(FlakyReranker, fail_query="q2"), requests(7, docs=5), chunk_pairs=10)
    assert result.failures == {"q2": "timed out"}
    assert "q2" not in result.scores
    assert score(reranker(FlakyReranker), requests(7, docs=5), chunk_pairs=10).computed_queries == 1


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("nan", "document 'd0' is not finite"),
        ("count", r"shape \(4,\) for 5"),
        ("answers", "6 of 7"),
    ],
)
def test_a_broken_contract_names_the_query(wrong: str, message: str) -> None:
    with pytest.raises(RerankerError, match=message):
        score(reranker(FlakyReranker, wrong=wrong), requests(7, docs=5), chunk_pairs=1000)


def test_progress_counts_cached_and_computed_pairs() -> None:
    told: list[int] = []
    score(reranker(), requests(7, docs=5), chunk_pairs=10, on_progress=told.append)
    score(reranker(), requests(7, docs=5), chunk_pairs=10, on_progress=told.append)
    assert sum(told) == 70


def test_no_request_at_all_is_no_error() -> None:
    result = score(reranker(), [], chunk_pairs=10)
    assert result.scores == {}
    assert result.description["backend"] == "fake"


class CountingReranker(FlakyReranker):
    """Knows what each query cost, and one call more that was for all of them."""

    def rerank(self, requests: Any) -> Any:
        for number, request in enumerate(requests, 1):
            self.meter.count(Usage(calls=number, tokens=10 * number), request.query_id)
        self.meter.count(Usage(calls=1))
        return super().rerank(requests)


def test_what_each_query_cost_is_kept_beside_its_scores() -> None:
    first = score(
        reranker(CountingReranker), requests(7, docs=5), chunk_pairs=10
    )  # two queries a chunk
    assert [first.usage_by_query[f"q{i}"]["calls"] for i in range(7)] == [1, 2, 1, 2, 1, 2, 1]
    assert first.usage_by_query["q1"]["tokens"] == 20
    assert (first.usage["calls"], first.usage["tokens"]) == (10 + 4, 100), (
        "the calls for whole chunks are in the sum alone"
    )
    second = score(reranker(CountingReranker), requests(7, docs=5), chunk_pairs=10)
    assert (second.computed_queries, second.usage, second.usage_by_query) == (
        0,
        first.usage,
        first.usage_by_query,
    )


def test_the_same_texts_twice_are_paid_for_once() -> None:
    first, second = requests(2, docs=5)
    twin = CandidateList("twin", first.query, first.doc_ids, first.docs)
    together = score(reranker(CountingReranker), [first, twin], chunk_pairs=10)
    assert together.usage["calls"] == 1 + 2 + 1, "both were asked in one call"
    later = score(reranker(CountingReranker), [first, second, twin], chunk_pairs=10, fresh=True)
    assert (later.usage["calls"], later.cached_queries) == (1 + 2 + 1, 1), (
        "the twin came from the cache"
    )


def test_what_a_failed_query_cost_stays_in_the_sum() -> None:
    result = score(reranker(CountingReranker, fail_query="q1"), requests(2, docs=5), chunk_pairs=10)
    assert result.usage["calls"] == 4
    assert list(result.usage_by_query) == ["q0"]


def test_a_cache_from_before_costs_were_kept_by_query_is_read() -> None:
    score(reranker(CountingReranker), requests(7, docs=5), chunk_pairs=100)
    (chunk,) = ScoreCache(identified(reranker(CountingReranker))).folder.glob("*.npz")
    with np.load(chunk) as whole:
        older = {name: whole[name] for name in whole.files if name != "own_usage"}
    np.savez(chunk, **older)
    result = score(reranker(CountingReranker), requests(7, docs=5), chunk_pairs=100)
    assert (result.cached_queries, result.usage_by_query) == (7, {})


@given(st.lists(st.integers(0, 9), max_size=20), st.integers(1, 12))
def test_chunks_keep_the_order_and_the_limit(sizes: list[int], limit: int) -> None:
    made = [CandidateList(str(i), "q", ["d"] * n, ["t"] * n) for i, n in enumerate(sizes)]
    cut = list(chunks(made, limit))
    assert [request for chunk in cut for request in chunk] == made
    assert all(
        len(chunk) == 1 or sum(len(request.docs) for request in chunk) <= limit for chunk in cut
    )
    assert all(cut)


@given(
    st.lists(st.text(max_size=5), min_size=1, max_size=4),
    st.lists(st.text(max_size=5), min_size=1, max_size=4),
)
def test_different_texts_have_different_keys(left: list[str], right: list[str]) -> None:
    keys = [request_key(CandidateList("q", texts[0], [], texts[1:])) for texts in (left, right)]
    assert (keys[0] == keys[1]) == (left == right)


class Opposite(HashReranker):
    """Says of itself what the class it is made from says."""

    def score(self, pairs: Any) -> Any:
        return -super().score(pairs)


def test_two_classes_that_say_the_same_of_themselves_share_no_scores() -> None:
    first = score(reranker(), requests(7, docs=5), chunk_pairs=12)
    second = score(reranker(Opposite), requests(7, docs=5), chunk_pairs=12)
    assert second.cached_queries == 0
    assert all((second.scores[query] == -first.scores[query]).all() for query in first.scores)
