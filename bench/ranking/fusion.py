"""Fusion: several rankings of one query as one.

Reciprocal rank fusion (Cormack, Clarke and Büttcher, SIGIR 2009) adds up weight / (k + rank); a
weighted sum adds up normalised scores (Fox and Shaw, TREC-2 1993; Lee, SIGIR 1997, on min-max).
Sums run in the order of the lists, in float64: equal lists and weights give equal bits, whoever
asks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from bench.contract.candidates import QueryCandidates
from bench.ranking.order import rank

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Scores = NDArray[np.float64]

Norm = Literal["min-max", "z-score", "none"]
RANK_CONSTANT = 60
"""The k of Cormack et al.: how little the first ranks stand out."""
LARGE = 1e100
"""Scores beyond this are divided by the largest before they are normalised: their squares would
run over.
"""


@dataclass(frozen=True)
class Contributions:
    """What each list adds to each document of a query before weights: values of shape (lists,
    documents). Documents are in the order in which the lists first name them.
    """

    doc_ids: tuple[str, ...]
    values: Scores

    def summed(self, weights: Sequence[float] | None = None) -> Scores:
        """Return the weighted sum over the lists, one float64 per document; weights of 1 where none
        are given. Raises ValueError for a wrong count of weights.
        """
        import numpy as np

        if weights is None:
            weights = [1.0] * len(self.values)
        total = np.zeros(len(self.doc_ids), dtype=np.float64)
        with np.errstate(over="ignore", invalid="ignore"):
            for weight, row in zip(weights, self.values, strict=True):
                total += float(weight) * row
        return total

    def ranking(self, weights: Sequence[float] | None = None) -> QueryCandidates:
        """Return the documents by their sums, equal ones by the tie rule. Raises ValueError for
        sums that are no finite numbers.
        """
        ranking = rank(self.doc_ids, self.summed(weights))
        return QueryCandidates(ranking.doc_ids, ranking.scores)


def rrf(
    lists: Sequence[QueryCandidates],
    weights: Sequence[float] | None = None,
    k: float = RANK_CONSTANT,
) -> QueryCandidates:
    """Return one query's lists fused by reciprocal rank: weight / (k + rank) per list, ranks from 1
    by the order of the list. A document that a list lacks gets nothing from it.
    """
    return rrf_contributions(lists, k).ranking(weights)


def weighted(
    lists: Sequence[QueryCandidates], weights: Sequence[float] | None = None, norm: Norm = "z-score"
) -> QueryCandidates:
    """Return one query's lists fused by the weighted sum of their normalised scores. A document
    that a list lacks gets the lowest normalised value of that list.
    """
    return weighted_contributions(lists, norm).ranking(weights)


def rrf_contributions(lists: Sequence[QueryCandidates], k: float = RANK_CONSTANT) -> Contributions:
    """Return 1 / (k + rank) of each document in each list; 0 where the list lacks it."""
    import numpy as np

    rows: list[Scores] = []
    for ranking in lists:
        ranks = np.arange(1, len(ranking.doc_ids) + 1, dtype=np.float64)
        rows.append(np.asarray(1.0 / (k + ranks), dtype=np.float64))
    return _contributions(lists, rows, [0.0] * len(lists))


def weighted_contributions(lists: Sequence[QueryCandidates], norm: Norm) -> Contributions:
    """Return the normalised score of each document in each list; the list's lowest where the list
    lacks it, 0 where it is empty.
    """
    return contributions_of(lists, [normalised(ranking.scores, norm) for ranking in lists])


def contributions_of(lists: Sequence[QueryCandidates], rows: Sequence[Scores]) -> Contributions:
    """Return these values of the documents of each list; the lowest of a list where it lacks a
    document, 0 where it is empty.
    """
    lowest = [float(min(row, default=0.0)) for row in rows]
    return _contributions(lists, rows, lowest)


def normalised(scores: Sequence[float] | Scores, norm: Norm) -> Scores:
    """Return the scores of one list on a common scale: from 0 to 1, or with mean 0 and standard
    deviation 1 (of the list itself, not of a sample), or as they are.

    Equal scores say nothing of their documents and become 0, unless they stay as they are.
    """
    import numpy as np

    values = np.asarray(scores, dtype=np.float64)
    if norm == "none" or not len(values):
        return values
    largest = np.abs(values).max()
    if largest > LARGE:
        values = values / largest
    lowest = values.min()
    spread = values.max() - lowest
    deviation = values.std()
    if spread == 0 or deviation == 0:
        return np.zeros(len(values), dtype=np.float64)
    if norm == "min-max":
        return np.asarray((values - lowest) / spread, dtype=np.float64)
    return np.asarray((values - values.mean()) / deviation, dtype=np.float64)


def simplex(count: int, steps: int) -> Iterator[tuple[float, ...]]:
    """Yield every combination of `count` weights from 0 to 1 in `steps` equal steps that add up
    to 1.
    """
    for parts in _partitions(count, steps):
        yield tuple(part / steps for part in parts)


def _partitions(count: int, total: int) -> Iterator[tuple[int, ...]]:
    """Yield every tuple of `count` whole numbers from 0 that add up to `total`."""
    if count == 1:
        yield (total,)
        return
    for first in range(total + 1):
        for rest in _partitions(count - 1, total - first):
            yield (first, *rest)


def _contributions(
    lists: Sequence[QueryCandidates], rows: Sequence[Scores], missing: Sequence[float]
) -> Contributions:
    """Return the values of lists, `missing` where one lacks a document, over all of their
    documents.
    """
    import numpy as np

    places: dict[str, int] = {}
    columns: list[list[int]] = []
    for ranking in lists:
        columns.append([places.setdefault(doc_id, len(places)) for doc_id in ranking.doc_ids])
    values = np.empty((len(lists), len(places)), dtype=np.float64)
    for number, (column, row) in enumerate(zip(columns, rows, strict=True)):
        values[number] = missing[number]
        values[number, column] = row
    return Contributions(tuple(places), values)
