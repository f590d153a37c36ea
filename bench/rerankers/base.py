"""The defaults that rerankers share, and all that one of your own needs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, ClassVar

from bench.contract.request import CandidateList, Failure, Usage
from bench.contract.reranker import Description, no_span
from bench.core.errors import RerankerError
from bench.ranking.order import as_scores
from bench.rerankers.options import RerankerOptions

if TYPE_CHECKING:
    from bench.contract.request import Outcome, Scores

__all__ = [
    "BaseReranker",
    "CandidateList",
    "Description",
    "Failure",
    "PointwiseReranker",
    "Usage",
    "no_span",
    "pair_tokens",
    "split_scores",
]
"""What a reranker of one's own needs, from one place."""


class BaseReranker(ABC):
    """The defaults that every shipped reranker shares. `options` is an instance of the class's
    `Options`.

    A reranker knows no clock: around the parts of its work it enters `self.span("tokenise")`,
    `"copy"`, `"forward"`, and the timed pass puts its stopwatch there.
    """

    Options: ClassVar[type[RerankerOptions]] = RerankerOptions
    pointwise: bool = True
    placement: str = "device"
    reads_texts: bool = True
    """False where ids suffice, so that a collection without documents serves, too."""
    latency_only: bool = False
    """True where scores mean nothing, so that they are never asked for: the row has a latency and
    no quality.
    """

    def __init__(self, options: Any, device: str = "cpu") -> None:
        self.options = options
        self.device = device
        self.usage = Usage()
        self.usage_by_query: dict[str, Usage] = {}
        self.span: Callable[[str], AbstractContextManager[None]] = no_span
        self.on_answers: Callable[[], None] | None = None
        """Called by a service's rerank() whenever `take_answered` has some more answers to keep."""

    def check(self) -> None:
        return None

    @abstractmethod
    def fingerprint(self) -> dict[str, Any]: ...

    def load(self) -> None:
        return None

    @abstractmethod
    def describe(self) -> Description: ...

    @abstractmethod
    def rerank(self, requests: Sequence[CandidateList]) -> list[Outcome]: ...

    def take_usage(self) -> Usage:
        taken, self.usage, self.usage_by_query = self.usage, Usage(), {}
        return taken

    def take_answered(self) -> list[tuple[CandidateList, Scores]]:
        """Return the requests that a rerank(), which is at work or raised, has answered in full
        since this was last called: they are paid for, so that they go to the score cache.
        """
        return []

    def doubt(self) -> str:
        """Return why it is not certain that what answered since load() is what fingerprint() names;
        empty where it is. Scores under doubt are used, and not kept. Raises RerankerError where it
        is certain that something else answered.
        """
        return ""

    def expected_usage(
        self, requests: Sequence[CandidateList], tokens: Callable[[str], int]
    ) -> Usage:
        """What rerank() would use, told without doing it. `tokens` estimates a text's length."""
        pairs, length = pair_tokens(requests, tokens, getattr(self.options, "max_length", None))
        return Usage(pairs=pairs, tokens=length if self.placement == "device" else 0)

    def close(self) -> None:
        return None

    def _count(self, usage: Usage, query_id: str | None = None) -> None:
        """Add to what rerank() has cost, and to what this query has, where it is known which one it
        was for.
        """
        self.usage += usage
        if query_id is not None:
            self.usage_by_query[query_id] = self.usage_by_query.get(query_id, Usage()) + usage


class PointwiseReranker(BaseReranker):
    """Adapter for models that score one (query, document) pair at a time: all pairs of all requests
    go to `score` at once.
    """

    @abstractmethod
    def score(self, pairs: Sequence[tuple[str, str]]) -> Scores:
        """One raw float per pair, in order. Shape: (len(pairs),)."""

    def rerank(self, requests: Sequence[CandidateList]) -> list[Outcome]:
        return split_scores(self.score, requests)


def split_scores(
    score: Callable[[Sequence[tuple[str, str]]], Scores], requests: Sequence[CandidateList]
) -> list[Outcome]:
    """Score all pairs of all requests in one call and cut the result back into one array per
    request.

    Raises RerankerError for an answer that is not one number per pair; what `score` raises itself
    passes through.
    """
    import numpy as np

    pairs = [(request.query, doc) for request in requests for doc in request.docs]
    answer = score(pairs) if pairs else np.empty(0, dtype=np.float64)
    try:
        scores = as_scores(answer)
    except ValueError as error:
        raise RerankerError(f"score(pairs) must return one number per pair: {error}") from error
    if scores.shape != (len(pairs),):
        raise RerankerError(
            f"score(pairs) returned scores of shape {scores.shape} for {len(pairs)} pairs"
        )
    bounds = np.cumsum([len(request.docs) for request in requests])[:-1]
    return list(np.split(scores, bounds)) if requests else []


def pair_tokens(
    requests: Sequence[CandidateList], tokens: Callable[[str], int], longest: int | None = None
) -> tuple[int, int]:
    """(pairs, tokens of all pairs, the query counted once per document), each pair cut at
    `longest`.
    """
    pairs = total = 0
    for request in requests:
        query = tokens(request.query)
        for doc in request.docs:
            length = query + tokens(doc)
            pairs, total = pairs + 1, total + (length if longest is None else min(length, longest))
    return pairs, total
