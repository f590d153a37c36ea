"""Where a list is sent in several requests, one document is asked in two of them: scores that hold
within a request only are refused.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import numpy as np
import pytest

from bench import rerankers
from bench.contract.request import CandidateList, Failure, Usage
from bench.core.errors import RerankerError
from bench.rerankers.remote.overlap import merged, place_of_overlap, steps
from bench.rerankers.remote.refusal import Refusal
from tests.support.fake_cohere import FakeCohere, good, relevance, reply
from tests.support.remote_clients import KEY, Client, ask, clients, expected, query

TEXTS = [f"document {number}" for number in range(10)]
Normalise = Callable[[list[float]], list[float]]


def softmax(scores: list[float]) -> list[float]:
    weights = [math.exp(5 * score) for score in scores]
    return [weight / sum(weights) for weight in weights]


def between_extremes(scores: list[float]) -> list[float]:
    low, high = min(scores), max(scores)
    return [(score - low) / (high - low) for score in scores]


def shares(scores: list[float]) -> list[float]:
    return [score / sum(scores) for score in scores]


def normalising(normalise: Normalise) -> Callable[[dict[str, Any]], Any]:
    """Return a server's answers whose scores hold within a request only."""

    def answer(request: dict[str, Any]) -> Any:
        scores = [relevance(request["query"], text) for text in request["documents"]]
        results = [
            {"index": place, "relevance_score": score}
            for place, score in enumerate(normalise(scores))
        ]
        return reply(200, {"results": results, "meta": {"billed_units": {"search_units": 1}}})

    return answer


@pytest.fixture
def client(server: FakeCohere, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    monkeypatch.setenv("CO_API_KEY", KEY)
    server.start_over()
    with clients("cohere", model="m", base_url=server.url) as make:
        yield make


def sizes(server: FakeCohere) -> list[int]:
    return [len(request["documents"]) for request in server.requests]


def test_one_document_is_asked_again_in_every_further_request(
    server: FakeCohere, client: Client
) -> None:
    reranker = client(documents_per_request=4)
    np.testing.assert_array_equal(ask(reranker, TEXTS), expected(TEXTS))
    assert sizes(server) == [4, 4, 4]
    first, second, third = (request["documents"] for request in server.requests)
    assert first == TEXTS[:4]
    assert second[1:] == TEXTS[4:7]
    assert third[1:] == TEXTS[7:]
    assert second[0] == third[0]
    assert second[0] in first
    assert reranker.meter.take() == Usage(pairs=12, calls=3, billed_units=3.0)


def test_the_forecast_counts_the_document_that_is_asked_again(client: Client) -> None:
    requests = [query(TEXTS), query(TEXTS[:4], "short")]
    reranker = client(documents_per_request=4)
    used = reranker.expected_usage(requests, len)
    pair = len("a query") + len(TEXTS[0])
    assert (used.pairs, used.calls, used.tokens) == (16, 4, 16 * pair)
    plain = client(documents_per_request=4, comparable=True).expected_usage(requests, len)
    assert (plain.pairs, plain.calls, plain.tokens) == (14, 4, 14 * pair)


@pytest.mark.parametrize("normalise", [softmax, between_extremes, shares])
@pytest.mark.parametrize("concurrency", [1, 3])
def test_scores_that_hold_within_a_request_only_fail_the_query(
    server: FakeCohere, client: Client, normalise: Normalise, concurrency: int
) -> None:
    server.always = normalising(normalise)
    reranker = client(documents_per_request=4, concurrency=concurrency)
    split, whole = reranker.rerank([query(TEXTS), query(TEXTS[:4], "short")])
    assert isinstance(split, Failure)
    assert "scores are comparable within a request only" in split.reason
    assert "raise documents_per_request or lower the depth" in split.reason
    known = normalise([relevance("a query", text) for text in TEXTS[:4]])
    np.testing.assert_allclose(whole, known)


def test_a_server_that_normalises_is_given_up_after_some_queries(
    server: FakeCohere, client: Client
) -> None:
    server.always = normalising(softmax)
    lists = [CandidateList(f"q{i}", f"query {i}", [*"abcdefgh"], TEXTS[:8]) for i in range(40)]
    with pytest.raises(RerankerError, match=r"gave up after 20 failed queries in a row \(one docu"):
        client(documents_per_request=4).rerank(lists)


def test_who_knows_that_scores_are_comparable_asks_nothing_twice(
    server: FakeCohere, client: Client
) -> None:
    server.always = normalising(softmax)
    scores = ask(client(documents_per_request=4, comparable=True), TEXTS)
    assert sizes(server) == [4, 4, 2]
    assert scores.sum() == pytest.approx(3)
    plain = rerankers.build("cohere", {"model": "m"}).fingerprint()
    known = rerankers.build("cohere", {"model": "m", "comparable": True}).fingerprint()
    assert plain == known, "it decides no score"


def test_halves_of_what_was_too_large_are_held_to_it_too(
    server: FakeCohere, client: Client
) -> None:
    def small_only(answer: Callable[[dict[str, Any]], Any]) -> Callable[[dict[str, Any]], Any]:
        def limited(request: dict[str, Any]) -> Any:
            if len(request["documents"]) > 6:
                return reply(413, {"message": "too large"})
            return answer(request)

        return limited

    server.always = small_only(good)
    reranker = client()
    np.testing.assert_array_equal(ask(reranker, TEXTS), expected(TEXTS))
    assert sizes(server) == [10, 5, 6]
    np.testing.assert_array_equal(ask(reranker, TEXTS), expected(TEXTS))
    assert sizes(server)[3:] == [6, 5], "no request is larger than what was accepted"
    server.always = small_only(normalising(softmax))
    best_first = sorted(TEXTS, key=lambda text: relevance("a query", text), reverse=True)
    assert isinstance(ask(reranker, best_first), Failure)
    assert isinstance(ask(client(), best_first), Failure)


@pytest.mark.parametrize("overlaps", [True, False])
def test_every_document_has_one_place_and_no_request_is_too_large(overlaps: bool) -> None:
    for count, size in product(range(1, 12), range(1, 12)):
        parts = steps(count, size, overlaps)
        assert [place for part in parts for place in part] == list(range(count))
        again = int(overlaps and size > 1)
        assert len(parts[0]) <= size
        assert all(1 <= len(part) <= size - again for part in parts[1:])


def test_a_rounding_is_no_reason_and_a_normalisation_is_one() -> None:
    logits = [-9.0, -2.0, 4.0]
    assert place_of_overlap(logits) == 1
    assert merged(logits, 1, [-2.0625, 0.5]) == [*logits, 0.5]
    with pytest.raises(Refusal, match=r"the score 0\.4437 in one .* and 0\.1618 in another"):
        merged([0.02, 0.4437, 0.8], 1, [0.1618, 0.4])
    assert merged([1e-4, 1e-4], 0, [1.01e-4, 1e-4]) == [1e-4, 1e-4, 1e-4]


def test_a_softmax_with_one_outstanding_document_is_seen() -> None:
    """The document in the middle of such a range is one of those next to nothing, which stay there
    in another request.
    """
    rng = np.random.default_rng(5)
    for _ in range(200):
        logits = rng.normal(0, 6, 20)
        first, other = np.exp(logits[:10]).tolist(), np.exp(logits[10:]).tolist()
        one = [weight / sum(first) for weight in first]
        again = place_of_overlap(one)
        weights = [first[again], *other]
        two = [weight / sum(weights) for weight in weights]
        try:
            scores = merged(one, again, two)
        except Refusal:
            continue
        assert np.argmax(scores) == np.argmax(logits)
