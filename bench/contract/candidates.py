"""The candidates of a first stage: per query, an ordered list, frozen, hashed, and shared by all
rerankers.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from bench.contract.index_facts import IndexFacts
from bench.core.long_array import LongArray
from bench.core.note import Note
from bench.core.numbering import numbers_of_names
from bench.datasets.base import content_hash

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

AT_ONCE = 250_000
"""Documents of rankings that are in memory together."""


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


class Block(NamedTuple):
    """Rankings of some queries, end to end: those of query i are at `ends[i - 1]` to `ends[i]`.
    `codes` are the places of documents in `names`; shapes (queries,), (documents,), (documents,).
    """

    query_ids: Sequence[str]
    ends: NDArray[np.int64]
    names: Sequence[str]
    codes: NDArray[np.int32]
    scores: NDArray[np.float64]

    @property
    def has_repeats(self) -> bool:
        """Whether a query has a document twice."""
        import numpy as np

        owners = np.repeat(np.arange(len(self.ends)), np.diff(self.ends, prepend=0))
        pairs = np.sort(owners * max(1, len(self.names)) + self.codes)
        return bool((pairs[1:] == pairs[:-1]).any())


class Compact(Mapping[str, QueryCandidates]):
    """Rankings by query id, kept as numbers, 12 bytes a document: its place in a list of ids, and
    its score. A query's ranking is made when it is asked for, so that millions of documents are no
    millions of objects; what does not fit in some megabytes is in a temporary file.
    """

    def __init__(self, rankings: Iterable[tuple[str, QueryCandidates]] = ()) -> None:
        numbers = numbers_of_names()
        self._codes = LongArray("i")
        self._scores = LongArray("d")
        self._places: dict[str, int] = {}
        self._ends = array("q")
        for query_id, ranking in rankings:
            self._codes.extend(map(numbers.__getitem__, ranking.doc_ids))
            self._scores.extend(ranking.scores)
            self._places[query_id] = len(self._places)
            self._ends.append(len(self._codes))
        self.names: Sequence[str] = list(numbers)
        """The ids of all documents, each once."""

    @classmethod
    def of_blocks(cls, blocks: Iterable[Block]) -> Compact:
        """Return the rankings of blocks, no query of which is in two of them."""
        import numpy as np

        rankings = cls()
        numbers = numbers_of_names()
        for block in blocks:
            translated = np.zeros(len(block.names), dtype=np.int32)
            used = np.flatnonzero(np.bincount(block.codes, minlength=len(block.names)))
            own = [block.names[code] for code in used.tolist()]
            translated[used] = list(map(numbers.__getitem__, own))
            before = len(rankings._codes)
            rankings._codes.add_bytes(translated[block.codes].tobytes())
            rankings._scores.add_bytes(block.scores.astype(np.float64, copy=False).tobytes())
            rankings._ends.frombytes((block.ends + before).astype(np.int64).tobytes())
            for query_id in block.query_ids:
                rankings._places[query_id] = len(rankings._places)
        rankings.names = list(numbers)
        return rankings

    def blocks(self) -> Iterator[Block]:
        """Yield the rankings in their order, of some queries at a time, with AT_ONCE documents
        together at most, or one query's.
        """
        import numpy as np

        query_ids = list(self._places)
        ends = np.frombuffer(self._ends, dtype=np.int64)
        first = 0
        while first < len(ends):
            before = int(ends[first - 1]) if first else 0
            last = int(np.searchsorted(ends, before + AT_ONCE, side="right"))
            last = max(last, first + 1)
            end = int(ends[last - 1])
            yield Block(
                query_ids[first:last],
                ends[first:last] - before,
                self.names,
                np.frombuffer(self._codes.stretch(before, end), dtype=np.int32),
                np.frombuffer(self._scores.stretch(before, end), dtype=np.float64),
            )
            first = last

    def __getitem__(self, query_id: str) -> QueryCandidates:
        start, end = self._bounds(query_id)
        names = self.names
        doc_ids = tuple([names[code] for code in self._codes.stretch(start, end).tolist()])
        return QueryCandidates(doc_ids, tuple(self._scores.stretch(start, end)))

    def length(self, query_id: str) -> int:
        """Return how many documents a query has."""
        start, end = self._bounds(query_id)
        return end - start

    def _bounds(self, query_id: str) -> tuple[int, int]:
        place = self._places[query_id]
        start = 0
        if place:
            start = self._ends[place - 1]
        return start, self._ends[place]

    @property
    def documents(self) -> int:
        """Return the number of documents in all rankings together."""
        return len(self._codes)

    def __contains__(self, query_id: object) -> bool:
        return query_id in self._places

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


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

    def length(self, query_id: str) -> int:
        """Return how many candidates a query has, without making a list of them."""
        if isinstance(self.by_query, Compact):
            return self.by_query.length(query_id)
        return len(self.by_query[query_id].doc_ids)

    @property
    def lengths(self) -> Iterator[int]:
        """The number of candidates of each query."""
        return map(self.length, self.by_query)

    @cached_property
    def hash(self) -> str:
        """Return the content hash of query ids and ordered document ids."""
        return content_hash(
            (query_id, *self.by_query[query_id].doc_ids) for query_id in sorted(self.by_query)
        )
