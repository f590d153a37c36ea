"""The documents of a dataset's queries as arrays: what is needed of them to order and to measure
several hundred pipelines.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from bench.quality.vectorised import Judged, graded

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from bench.contract.candidates import QueryCandidates

    Whole = NDArray[np.int64]
    Values = NDArray[np.float64]
    Flags = NDArray[np.bool_]

UNPLACED = 1 << 40
"""The place of a document that a row has not scored: behind all others."""

Lists = Mapping[str, "QueryCandidates"]
"""Query id -> documents, best first, with scores."""


@dataclass(frozen=True)
class Pool:
    """The documents that the first stages of one dataset retrieved, per query, with judgments.

    A document is known by its column: `doc_ids` of a query are by falling id, so that of equal
    scores the lower column comes first, as the tie rule has it. `width` is the column of a place
    without a document. `grades` and `is_judged` have shape (queries, width + 1); `graded` holds all
    judgments, retrieved or not, as `Judged` takes them.
    """

    query_ids: tuple[str, ...]
    doc_ids: tuple[tuple[str, ...], ...]
    grades: Whole
    is_judged: Flags
    graded: tuple[Whole, Whole]

    @property
    def width(self) -> int:
        return int(self.grades.shape[1]) - 1

    @cached_property
    def columns(self) -> tuple[Mapping[str, int], ...]:
        """The column of each document, per query."""
        return tuple(
            {doc_id: column for column, doc_id in enumerate(doc_ids)} for doc_ids in self.doc_ids
        )

    def judged(self, columns: Whole, lengths: Whole, cutoff: int | None) -> Judged:
        """Return what the measures need of an order of columns, shape (queries, places). Ranks
        below `cutoff` are left out. A query of length 0 has no ranking.
        """
        import numpy as np

        top = columns[:, :cutoff]
        rows = np.arange(len(top))[:, None]
        query, place = np.nonzero(self.is_judged[rows, top] & (lengths > 0)[:, None])
        grades = self.grades[query, top[query, place]]
        return Judged(len(top), query, place + 1, grades, lengths, self.graded)


def pooled(
    query_ids: Sequence[str],
    lists: Iterable[Lists],
    qrels: Mapping[str, Mapping[str, int]],
) -> Pool:
    """Return the pool of the documents of several rankings."""
    import numpy as np

    documents: dict[str, set[str]] = {query_id: set() for query_id in query_ids}
    for rankings in lists:
        for query_id, ranking in rankings.items():
            if query_id in documents:
                documents[query_id].update(ranking.doc_ids)
    doc_ids = tuple(tuple(sorted(documents[query_id], reverse=True)) for query_id in query_ids)
    width = max(map(len, doc_ids), default=0)
    grades = np.zeros((len(doc_ids), width + 1), dtype=np.int64)
    is_judged = np.zeros((len(doc_ids), width + 1), dtype=bool)
    judgments = [qrels.get(query_id, {}) for query_id in query_ids]
    for number, own in enumerate(judgments):
        for column, doc_id in enumerate(doc_ids[number]):
            if doc_id in own:
                grades[number, column] = own[doc_id]
                is_judged[number, column] = True
    return Pool(tuple(query_ids), doc_ids, grades, is_judged, graded(judgments))


@dataclass(frozen=True)
class FirstStage:
    """The candidates of a first stage in a pool: columns and scores of shape (queries, depth), in
    its order; `lengths` are documents per query.
    """

    name: str
    depth: int
    columns: Whole
    scores: Values
    lengths: Whole

    def is_beginning_of(self, other: FirstStage) -> bool:
        """Return whether the other one has the same documents with the same scores, and perhaps
        more after them.
        """
        import numpy as np

        if other.depth < self.depth or self.name == other.name:
            return False
        # most differ in the first query
        for queries in (slice(1), slice(None)):
            columns = other.columns[queries, : self.depth]
            scores = other.scores[queries, : self.depth]
            if not np.array_equal(self.columns[queries], columns):
                return False
            if not np.array_equal(self.scores[queries], scores, equal_nan=True):
                return False
        return True


@dataclass(frozen=True)
class StoredRow:
    """The scores of one reranker in a pool, shape (queries, width + 1), NaN where it has scored
    nothing; `places` order each query's documents by them, best first.

    `failed` are the queries that it failed. `over` is the first stage and depth that a row ran at
    whose scores depend on the other documents; None for a pointwise one, whose scores do not.
    `is_exact` where the scores are those that the row gave, and not numbers of the same order.
    """

    name: str
    scores: Values
    places: Whole
    failed: Flags
    over: tuple[str, int] | None = None
    is_exact: bool = True


def first_stage(pool: Pool, name: str, depth: int, lists: Lists) -> FirstStage:
    """Return the candidates of a first stage as arrays."""
    import numpy as np

    shape = (len(pool.query_ids), depth)
    columns = np.full(shape, pool.width, dtype=np.int64)
    scores = np.full(shape, np.nan)
    lengths = np.zeros(len(pool.query_ids), dtype=np.int64)
    for number, query_id in enumerate(pool.query_ids):
        if query_id in lists:
            ranking = lists[query_id].first(depth)
            size = len(ranking.doc_ids)
            places = pool.columns[number]
            columns[number, :size] = [places[doc_id] for doc_id in ranking.doc_ids]
            scores[number, :size] = ranking.scores
            lengths[number] = size
    return FirstStage(name, depth, columns, scores, lengths)


def stored_row(
    pool: Pool,
    name: str,
    lists: Lists,
    failed: Collection[str] = (),
    over: tuple[str, int] | None = None,
) -> StoredRow:
    """Return a reranker's scores as arrays. Documents are placed by the tie rule, which orders some
    of them as it orders all.
    """
    import numpy as np

    from bench.ranking.order import rank

    shape = (len(pool.query_ids), pool.width + 1)
    scores = np.full(shape, np.nan)
    places = np.full(shape, UNPLACED, dtype=np.int64)
    for number, query_id in enumerate(pool.query_ids):
        if query_id not in lists:
            continue
        own = lists[query_id]
        ranking = rank(own.doc_ids, own.scores)
        columns = [pool.columns[number].get(doc_id, pool.width) for doc_id in ranking.doc_ids]
        scores[number, columns] = ranking.scores
        places[number, columns] = np.arange(len(columns))
    scores[:, pool.width] = np.nan
    places[:, pool.width] = UNPLACED
    is_failed = np.array([query_id in failed for query_id in pool.query_ids], dtype=bool)
    return StoredRow(name, scores, places, is_failed, over)
