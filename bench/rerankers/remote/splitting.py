"""Requests that a service finds too large are asked in parts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Lock

from bench.rerankers.remote.overlap import merged, place_of_overlap, steps
from bench.rerankers.remote.refusal import Kind, Refusal

Ask = Callable[[str, str, Sequence[str]], list[float]]
"""(query id, query, documents) -> one score per document, of one request. Raises Refusal."""


class Splitter:
    """Asks for the scores of documents in requests of the size that the service has accepted, where
    it found a larger one too large. Several threads may use it.

    `overlaps` says whether one document of the first part is asked again in each other one.
    """

    def __init__(
        self, ask: Ask, on_split: Callable[[str], None], *, may_split: bool, overlaps: bool
    ) -> None:
        self._ask = ask
        self._on_split = on_split
        self._may_split = may_split
        self._overlaps = overlaps
        self._counting = Lock()
        # The most documents that one request was accepted with; `_accepted` is that number once
        # another was refused as too large: no request is larger from then on. It never falls below
        # what was accepted before, as one long document would have it.
        self._largest = 0
        self._accepted: int | None = None

    def scores(self, query_id: str, query: str, documents: Sequence[str]) -> list[float]:
        """Return one score per document. Raises Refusal or RerankerError."""
        size = self._accepted or len(documents)
        overlaps = self._overlaps and size > 1
        scores: list[float] = []
        for places in steps(len(documents), size, overlaps):
            part = [documents[place] for place in places]
            first = scores[:size]
            again = None
            if overlaps and first:
                again = place_of_overlap(first)
                part.insert(0, documents[again])
            answer, accepted = self._halved(query_id, query, part)
            scores += merged(first, again, answer)[len(first) :]
            with self._counting:
                self._largest = max(self._largest, accepted)
                if accepted < len(part):
                    self._accepted = self._largest
        return scores

    def _halved(
        self, query_id: str, query: str, documents: Sequence[str]
    ) -> tuple[list[float], int]:
        """Return one score per document, and the largest number of documents in one request that
        was accepted. A request that is too large is asked for in halves.
        """
        try:
            return self._ask(query_id, query, documents), len(documents)
        except Refusal as refusal:
            if refusal.kind is not Kind.TOO_LARGE or len(documents) < 2 or not self._may_split:
                raise
        self._on_split(query_id)
        middle = (len(documents) + 1) // 2
        first, first_accepted = self._halved(query_id, query, documents[:middle])
        again = None
        rest = list(documents[middle:])
        if self._overlaps and middle > 1:
            again = place_of_overlap(first)
            rest.insert(0, documents[again])
        second, second_accepted = self._halved(query_id, query, rest)
        return merged(first, again, second), max(first_accepted, second_accepted)
