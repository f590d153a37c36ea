"""Weights of a fusion by nDCG@10 on judged queries, cross-fitted: a query is served by the weights
that were best on the queries of the other folds.

The grid is a simplex: every combination of weights in equal steps that add up to 1. Equal weights
come first and win where others are no better.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from bench.core.note import Code, Note, note
from bench.ranking.fusion import Contributions, simplex

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Values = NDArray[np.float64]

Weights = tuple[float, ...]
CUTOFF = 10
STEPS = (20, 10, 5, 4, 3, 2, 1)
LARGEST_GRID = 300
"""Combinations of weights that are tried at most."""


@dataclass(frozen=True)
class FusionWeights:
    """The weights of each query. `overall` were chosen on all queries, and serve those of no fold;
    fixed weights have no folds.
    """

    overall: Weights
    by_fold: tuple[Weights, ...] = ()
    fold_of: Mapping[str, int] | None = None

    def of(self, query_id: str) -> Weights:
        """Return the weights that serve a query."""
        if self.fold_of is None or query_id not in self.fold_of:
            return self.overall
        return self.by_fold[self.fold_of[query_id]]

    @property
    def bounds(self) -> list[tuple[float, float]]:
        """Return the smallest and the largest weight of each part, over the folds."""
        choices = self.by_fold or (self.overall,)
        return [(min(column), max(column)) for column in zip(*choices, strict=True)]

    def note(self, names: Sequence[str]) -> Note:
        """Return which weights were chosen for parts of these names, and how far they differ
        between folds.
        """
        texts: list[str] = []
        for name, (low, high) in zip(names, self.bounds, strict=True):
            text = f"{name} {low:.2f}"
            if high > low:
                text = f"{text} to {high:.2f}"
            texts.append(text)
        return note(Code.TUNED_WEIGHTS, len(self.by_fold), text=", ".join(texts))


@cache
def grid(count: int) -> tuple[Weights, ...]:
    """Return the combinations of weights for so many parts, the most even ones first."""
    steps = next(
        number
        for number in STEPS
        if number == 1 or math.comb(number + count - 1, number) <= LARGEST_GRID
    )
    even = (1 / count,) * count
    points = dict.fromkeys([even, *simplex(count, steps)])
    return tuple(sorted(points, key=lambda weights: (round(math.dist(weights, even), 9), weights)))


def gains(contributions: Contributions, grades: Mapping[str, int], choices: Values) -> Values:
    """Return the nDCG@10 of one query under each choice of weights, by trec_eval's definition:
    linear gains, a log2 discount, an ideal over all judgments. Shape: (choices,), 0 where no
    document is relevant. `choices` has shape (choices, parts).
    """
    import numpy as np

    discounts = 1.0 / np.log2(np.arange(2, CUTOFF + 2, dtype=np.float64))
    ideal = sorted((grade for grade in grades.values() if grade > 0), reverse=True)[:CUTOFF]
    best = float(np.dot(ideal, discounts[: len(ideal)])) if ideal else 0.0
    doc_ids = contributions.doc_ids
    if not best or not doc_ids:
        return np.zeros(len(choices), dtype=np.float64)
    # a stable sort leaves equal sums in this order: that of the tie rule
    places = sorted(range(len(doc_ids)), key=doc_ids.__getitem__, reverse=True)
    gain = np.array([max(grades.get(doc_ids[place], 0), 0) for place in places], dtype=np.float64)
    sums = np.zeros((len(choices), len(places)), dtype=np.float64)
    for column, row in enumerate(contributions.values[:, places]):
        sums += choices[:, column, None] * row
    tops = np.argsort(-sums, axis=1, kind="stable")[:, :CUTOFF]
    return np.asarray(gain[tops] @ discounts[: tops.shape[1]] / best, dtype=np.float64)


def cross_fitted(
    queries: Mapping[str, Contributions],
    qrels: Mapping[str, Mapping[str, int]],
    fold_of: Mapping[str, int],
    count: int,
) -> FusionWeights:
    """Return the best weights on the queries of all folds but one, for each of the `count` folds,
    and the best on all queries.
    """
    import numpy as np

    parts = len(next(iter(queries.values())).values)
    choices = grid(parts)
    table = np.array(choices, dtype=np.float64)
    sums = np.zeros((count, len(choices)), dtype=np.float64)
    for query_id, contributions in queries.items():
        sums[fold_of[query_id]] += gains(contributions, qrels.get(query_id, {}), table)
    by_fold = [_best(np.delete(sums, fold, axis=0), choices) for fold in range(count)]
    return FusionWeights(_best(sums, choices), tuple(by_fold), fold_of)


def fitted(
    queries: Mapping[str, Contributions], qrels: Mapping[str, Mapping[str, int]]
) -> FusionWeights:
    """Return the best weights on these queries, to serve others."""
    import numpy as np

    choices = grid(len(next(iter(queries.values())).values))
    table = np.array(choices, dtype=np.float64)
    values = [gains(each, qrels.get(query_id, {}), table) for query_id, each in queries.items()]
    return FusionWeights(_best(np.array(values), choices))


def _best(values: Values, choices: Sequence[Weights]) -> Weights:
    """Return the first choice with the largest sum of values of shape (rows, choices)."""
    totals = values.sum(axis=0)
    # sums that differ in their last bits alone are equal
    return choices[int((totals >= totals.max() - 1e-9 * len(values)).argmax())]
