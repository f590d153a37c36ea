"""The result of the quality pass over a trial."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, MutableMapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bench.contract.identity import Fields
from bench.core.long_array import LongArray
from bench.core.note import Note

if TYPE_CHECKING:
    from bench.contract.request import Scores

Amounts = dict[str, float]
"""A usage by the names of its fields."""


def added(amounts: Amounts, more: Amounts) -> Amounts:
    """Return the sum of two usages, field by field."""
    names = dict.fromkeys([*amounts, *more])
    return {name: amounts.get(name, 0.0) + more.get(name, 0.0) for name in names}


@dataclass
class PairCounts:
    """Pairs of the answered queries: scored now, and taken from the cache. `shared` are those among
    them that the run had asked for before, for another row or stage.
    """

    computed: int = 0
    cached: int = 0
    shared: int = 0

    def __add__(self, other: PairCounts) -> PairCounts:
        return PairCounts(
            self.computed + other.computed, self.cached + other.cached, self.shared + other.shared
        )


class ScoresByQuery(MutableMapping[str, "Scores"]):
    """The scores of each query, 8 bytes a document, most of them in a temporary file where there
    are millions. An array is made when it is asked for.
    """

    def __init__(self) -> None:
        self._scores = LongArray("d")
        self._places: dict[str, int] = {}
        self._bounds = array("q")

    def __setitem__(self, query_id: str, scores: Scores) -> None:
        import numpy as np

        start = len(self._scores)
        self._scores.add_bytes(np.ascontiguousarray(scores, dtype=np.float64).tobytes())
        self._places[query_id] = len(self._bounds)
        self._bounds.extend((start, len(self._scores)))

    def __getitem__(self, query_id: str) -> Scores:
        import numpy as np

        place = self._places[query_id]
        numbers = self._scores.stretch(self._bounds[place], self._bounds[place + 1])
        scores: Scores = np.frombuffer(numbers, dtype=np.float64)
        return scores

    def __delitem__(self, query_id: str) -> None:
        del self._places[query_id]

    def __contains__(self, query_id: object) -> bool:
        return query_id in self._places

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def clear(self) -> None:
        """Forget everything, the file included."""
        self._scores, self._bounds = LongArray("d"), array("q")
        self._places = {}

    def put_in_order(self, query_ids: Iterable[str]) -> None:
        """Let the queries come in this order, and no others."""
        places = self._places
        self._places = {name: places[name] for name in query_ids if name in places}


@dataclass
class Scored:
    """The result of the quality pass: scores per query, failed queries with their reasons, how much
    came from the cache, and the cost: in all, and by query where the reranker knows.
    """

    scores: MutableMapping[str, Scores] = field(default_factory=ScoresByQuery)
    failures: dict[str, str] = field(default_factory=dict)
    cached: set[str] = field(default_factory=set)
    """The queries whose scores came from the cache."""
    reused: set[str] = field(default_factory=set)
    """Those of them with scores that the run itself had bought, for another row, stage or query."""
    computed: set[str] = field(default_factory=set)
    """The queries that were scored now."""
    description: Fields = field(default_factory=dict)
    """What loaded, as a record holds it; empty until it is known."""
    usage: Amounts = field(default_factory=dict)
    usage_by_query: dict[str, Amounts] = field(default_factory=dict)
    pairs: PairCounts = field(default_factory=PairCounts)
    shared_usage: Amounts = field(default_factory=dict)
    """The part of `usage` that another row or stage of the run shows, too: of the shared pairs."""
    notes: list[Note] = field(default_factory=list)
    """What was wrong with the score cache, and what became of workers."""
    seen: dict[str, int] = field(default_factory=dict)
    """Query id -> how many of its documents the last stage of a pipeline scored, the best of the
    ranking; empty where all were.
    """
    executor: str = ""
    """Who computed what the cache lacked, where it was not this process alone."""

    parts: list[Scored] = field(default_factory=list)
    """The same of each part of a reranker that is made of others, without its scores."""

    def add(self, other: Scored) -> None:
        """Add what a stage or a part used. A query counts as computed where any of them computed
        it, and as cached where each that answered it had its scores, though a later one may have
        failed.
        """
        self.usage = added(self.usage, other.usage)
        for query_id, amounts in other.usage_by_query.items():
            own = self.usage_by_query.get(query_id, {})
            self.usage_by_query[query_id] = added(own, amounts)
        self.computed |= other.computed
        self.cached = (self.cached | other.cached) - self.computed
        self.reused |= other.reused
        self.pairs += other.pairs
        self.shared_usage = added(self.shared_usage, other.shared_usage)
        self.notes += other.notes
        self.executor = self.executor or other.executor

    @property
    def cached_queries(self) -> int:
        return len(self.cached)

    @property
    def reused_queries(self) -> int:
        return len(self.cached & self.reused)

    @property
    def computed_queries(self) -> int:
        return len(self.computed)
