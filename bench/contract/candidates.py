"""The candidates of a first stage: per query, an ordered list, frozen, hashed, and shared by all
rerankers.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field
from functools import cached_property

from bench.contract.index_facts import IndexFacts
from bench.core.note import Note
from bench.datasets.base import content_hash


@dataclass(frozen=True)
class QueryCandidates:
    """The candidates of one query, best first. `scores` are the first stage's own and never
    rise.
    """

    doc_ids: tuple[str, ...]
    scores: tuple[float, ...]

    def first(self, depth: int | None) -> QueryCandidates:
        """Return the first `depth` candidates; all of them without a number."""
        return QueryCandidates(self.doc_ids[:depth], self.scores[:depth])

    def without(self, doc_ids: Set[str]) -> QueryCandidates:
        """Return the candidates but for these documents."""
        rows = zip(self.doc_ids, self.scores, strict=True)
        rest = [row for row in rows if row[0] not in doc_ids]
        return QueryCandidates(tuple(row[0] for row in rest), tuple(row[1] for row in rest))


def finite(rows: Iterable[tuple[str, float]]) -> QueryCandidates:
    """Return documents with their scores, without those whose score is no finite number."""
    usable = [(doc_id, float(score)) for doc_id, score in rows if math.isfinite(score)]
    return QueryCandidates(
        tuple(doc_id for doc_id, _ in usable), tuple(score for _, score in usable)
    )


class Compact(Mapping[str, QueryCandidates]):
    """Rankings by query id, kept as numbers, 12 bytes a document: its place in a list of ids, and
    its score. A query's ranking is made when it is asked for, so that millions of documents are no
    millions of objects.
    """

    def __init__(self, rankings: Iterable[tuple[str, QueryCandidates]]) -> None:
        numbers: dict[str, int] = {}
        self._codes = array("i")
        self._scores = array("d")
        self._bounds: dict[str, tuple[int, int]] = {}
        for query_id, ranking in rankings:
            start = len(self._codes)
            self._codes.extend(
                [numbers.setdefault(doc_id, len(numbers)) for doc_id in ranking.doc_ids]
            )
            self._scores.extend(ranking.scores)
            self._bounds[query_id] = (start, len(self._codes))
        self._names = list(numbers)

    def __getitem__(self, query_id: str) -> QueryCandidates:
        start, end = self._bounds[query_id]
        names = [self._names[code] for code in self._codes[start:end]]
        return QueryCandidates(tuple(names), tuple(self._scores[start:end]))

    @property
    def documents(self) -> int:
        """Return the number of documents in all rankings together."""
        return len(self._codes)

    def __contains__(self, query_id: object) -> bool:
        return query_id in self._bounds

    def __iter__(self) -> Iterator[str]:
        return iter(self._bounds)

    def __len__(self) -> int:
        return len(self._bounds)


Source = Mapping[str, object]
"""How candidates were made: plain data, and part of what the cache of indexes is keyed by."""


@dataclass(frozen=True)
class Candidates:
    """Every query's candidates at one depth. Queries for which the first stage found nothing hold
    an empty entry.

    `source` says how they were made (name, parameters, index and library version); `hash` covers
    query ids and ordered document ids.
    """

    by_query: Mapping[str, QueryCandidates]
    depth: int
    source: Source
    warnings: tuple[Note, ...] = ()
    built: IndexFacts | None = field(default=None, compare=False)
    """What the index took; None where there is none. It decides no candidate."""

    def __post_init__(self) -> None:
        if not isinstance(self.by_query, Compact):
            object.__setattr__(self, "by_query", Compact(self.by_query.items()))

    @cached_property
    def hash(self) -> str:
        """Return the content hash of query ids and ordered document ids."""
        return content_hash(
            (query_id, *self.by_query[query_id].doc_ids) for query_id in sorted(self.by_query)
        )
