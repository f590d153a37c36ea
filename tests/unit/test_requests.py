"""Texts are in memory for the chunk at work only, however many queries there are."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace

import numpy as np

from bench.contract.candidates import Candidates, QueryCandidates
from bench.contract.request import CandidateList
from bench.contract.scored import Scored
from bench.datasets.base import Dataset
from bench.datasets.memory import MemoryDocuments
from bench.quality.assess import assess
from bench.quality.questions import AT_ONCE, Questions
from bench.retrieval.requests import Requests
from bench.scoring.engine import score
from tests.support.fakes import FakeOptions, HashReranker

DEPTH = 20


def questions(queries: int, *, width: int = 2000) -> Requests:
    documents = MemoryDocuments(
        {f"d{i}": {"text": f"{i} " + "word " * (width // 5)} for i in range(DEPTH)}
    )
    ids = tuple(f"d{i}" for i in range(DEPTH))
    texts = {f"q{i}": f"query {i}" for i in range(queries)}
    dataset = Dataset("made", documents, texts, {}, {}, template="{text} end")
    candidates = Candidates(
        {query_id: QueryCandidates(ids, tuple(range(DEPTH, 0, -1))) for query_id in texts},
        DEPTH,
        {},
    )
    return Requests(dataset, candidates, list(texts))


def peak(queries: int) -> int:
    requests = questions(queries)
    tracemalloc.start()
    try:
        scored = score(
            HashReranker(FakeOptions(salt=str(queries))), requests, chunk_pairs=10 * DEPTH
        )
        assert len(scored.scores) == queries
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_peak_memory_does_not_grow_with_the_texts_of_more_queries() -> None:
    peak(5)  # imports and caches
    few, many = peak(40), peak(160)
    texts = (160 - 40) * DEPTH * 2000
    assert many - few < texts / 10


def test_requests_are_those_of_the_queries_with_candidates() -> None:
    requests = questions(3, width=10)
    assert [request.query_id for request in requests] == ["q0", "q1", "q2"]
    assert list(requests[1].docs) == [f"{i} word word  end" for i in range(DEPTH)]
    assert requests[-1].docs[:2] == ["0 word word  end", "1 word word  end"]
    assert [request.query for request in requests[:2]] == ["query 0", "query 1"]
    assert isinstance(requests[0], CandidateList)


def test_looking_at_ids_and_lengths_fetches_no_text() -> None:
    requests = questions(3)
    requests._dataset.documents.get = None  # type: ignore[assignment, method-assign]
    assert sum(len(request.docs) for request in requests) == 3 * DEPTH
    assert all(request.docs and request.doc_ids[0] == "d0" for request in requests)


def assessed_peak(queries: int) -> int:
    requests = questions(queries, width=10)
    ids = [f"q{i}" for i in range(queries)]
    dataset = replace(requests._dataset, qrels={query_id: {"d0": 1, "d3": 2} for query_id in ids})
    scores = {query_id: np.arange(DEPTH, dtype=np.float64) for query_id in ids}
    asked = Questions(dataset, ids, requests, ["nDCG@10", "RR@10"])
    rows = []
    tracemalloc.start()
    try:
        found = assess(
            Scored(scores=scores), asked, 0, lambda rankings, part: rows.append(len(rankings))
        )
        assert found.counts.pairs == queries * DEPTH
        assert (sum(rows), max(rows)) == (queries, min(queries, AT_ONCE))
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_rankings_are_in_memory_for_some_queries_at_a_time() -> None:
    """One ranking takes some 100 bytes a document: 20 floats, 20 references, two tuples."""
    assessed_peak(AT_ONCE)
    grown = assessed_peak(4 * AT_ONCE) - assessed_peak(2 * AT_ONCE)
    assert grown < 2 * AT_ONCE * DEPTH * 48 / 2
