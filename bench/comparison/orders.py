"""Whether two collections, or two first stages, put a run's rerankers in the same order."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

from bench.quality.statistics import LEVEL
from bench.records.rows import GroupKey, Row, headline_of
from bench.records.run import Run

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]

RESAMPLES = 2_000
FEW = 6
"""Rows below which tau has few values: of five rows a swap of two neighbours moves it by .2."""


@dataclass(frozen=True)
class OrderAgreement:
    """Kendall's tau-b between the orders of the same rows in two groups, by their mean of a
    measure, with its 95 % interval over resampled queries. `best` are the best row of each.
    """

    first: GroupKey
    second: GroupKey
    rows: int
    tau: float
    low: float
    high: float
    best: tuple[str, str]


def order_agreements(run: Run) -> list[OrderAgreement]:
    """Return the agreement of every two groups of a run that have two rows or more in common."""
    agreements: list[OrderAgreement] = []
    for (first, ours), (second, theirs) in combinations(run.groups.items(), 2):
        measures = headline_of(ours), headline_of(theirs)
        left, right = _competing(ours, measures[0]), _competing(theirs, measures[1])
        names = [name for name in left if name in right]
        if len(names) < 2:
            continue
        values = [
            _values(run, [of_group[name] for name in names], measure)
            for of_group, measure in ((left, measures[0]), (right, measures[1]))
        ]
        tau = tau_b(values[0].mean(axis=1), values[1].mean(axis=1))
        low, high = _interval(values, is_paired=first[0] == second[0], seed=run.seed)
        best = [names[int(matrix.mean(axis=1).argmax())] for matrix in values]
        agreement = OrderAgreement(first, second, len(names), tau, low, high, (best[0], best[1]))
        agreements.append(agreement)
    return agreements


def tau_b(left: Matrix, right: Matrix) -> float:
    """Return Kendall's tau-b of two scores of the same items, shape (items,); 0 where either ties
    all of them (Kendall, Biometrika 1945).
    """
    import numpy as np

    ours = np.sign(left[:, None] - left[None, :])
    theirs = np.sign(right[:, None] - right[None, :])
    untied = math.sqrt(float((ours**2).sum()) * float((theirs**2).sum()))
    if not untied:
        return 0.0
    return float((ours * theirs).sum()) / untied


def _competing(members: Sequence[Row], measure: str) -> dict[str, Row]:
    return {row.trial.label: row for row in members if row.competes(measure)}


def _values(run: Run, rows: Sequence[Row], measure: str) -> Matrix:
    """Return per-query values of the queries that all rows have, shape (rows, queries)."""
    import numpy as np

    by_row: list[Mapping[str, float]] = [run.values(row.trial.id, measure) for row in rows]
    queries = sorted(query for query in by_row[0] if all(query in values for values in by_row))
    return np.array([[values[query] for query in queries] for values in by_row])


def _interval(values: Sequence[Matrix], *, is_paired: bool, seed: int) -> tuple[float, float]:
    """Return the percentile interval of tau. Queries of one collection are drawn together for both
    groups.
    """
    import numpy as np

    taus = list(_resampled(values, is_paired=is_paired, seed=seed))
    low, high = np.quantile(taus, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def _resampled(values: Sequence[Matrix], *, is_paired: bool, seed: int) -> Iterator[float]:
    import numpy as np

    generator = np.random.default_rng(seed)
    sizes = [matrix.shape[1] for matrix in values]
    for _ in range(RESAMPLES):
        drawn = [generator.integers(0, size, size) for size in sizes]
        if is_paired and sizes[0] == sizes[1]:
            drawn[1] = drawn[0]
        left, right = (matrix[:, places] for matrix, places in zip(values, drawn, strict=True))
        yield tau_b(left.mean(axis=1), right.mean(axis=1))
