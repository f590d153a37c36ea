"""Clients of the server of `fake_cohere`, and what they ask it."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from bench import rerankers
from bench.contract.request import CandidateList
from bench.core.errors import RerankerError
from tests.support.fake_cohere import relevance

KEY = "secret-key-0123456789"
DOCS = [f"document {i}" for i in range(7)]
Client = Callable[..., Any]


@contextmanager
def clients(backend: str, **settings: Any) -> Iterator[Client]:
    """Yield what makes loaded rerankers of one backend, and close those with the block."""
    patience = {"backoff_s": 0.01, "retries": 2, "timeout_s": 5}
    with ExitStack() as stack:

        def make(**options: Any) -> Any:
            reranker: Any = rerankers.build(backend, {**patience, **settings, **options})
            stack.callback(reranker.close)
            stack.callback(reranker.close)  # closing again does nothing
            reranker.check()
            reranker.load()
            return reranker

        yield make


def refusal(reranker: Any, message: str) -> str:
    """Return the one line in which a reranker refuses to go on, which matches `message`; neither
    its traceback nor the reranker shows the key.
    """
    with pytest.raises(RerankerError, match=message) as caught:
        ask(reranker)
    line = str(caught.value)
    assert "\n" not in line
    traces = "".join(traceback.format_exception(caught.value))
    facts = json.dumps([reranker.describe().to_dict(), reranker.fingerprint()])
    assert KEY not in traces + repr(reranker) + facts
    return line


def query(docs: list[str] = DOCS, query_id: str = "q", text: str = "a query") -> CandidateList:
    return CandidateList(query_id, text, [f"d{i}" for i in range(len(docs))], docs)


def ask(reranker: Any, docs: list[str] = DOCS) -> Any:
    (outcome,) = reranker.rerank([query(docs)])
    return outcome


def expected(docs: list[str] = DOCS) -> list[float]:
    return [relevance("a query", doc) for doc in docs]
