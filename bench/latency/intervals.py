"""Percentiles of raw timings and their intervals. Percentiles are numpy's linear ones; never the
best of n.

Every round's sample enters a percentile, but rounds of one query are not independent: only distinct
queries count for withholding, and the bootstrap draws whole clusters, such as a query with all its
rounds (a cluster bootstrap; Davison & Hinkley 1997, section 3.8).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.latency.columns import MEAN, PERCENTILES, WITHHELD, Interval

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]

RESAMPLES = 1000


def percentiles(
    values: pd.Series, clusters: pd.Series, queries: int, seed: int
) -> dict[str, Interval]:
    """Return p50, p95, p99 and the mean of the values, by the keys of their columns, as intervals.

    `clusters` names per value what the bootstrap draws whole; a percentile that needs more distinct
    queries is withheld.
    """
    import numpy as np

    columns = [(q, column) for q, column in PERCENTILES if queries >= column.needs]
    quantiles = [q for q, _ in columns]
    *ranges, of_mean = bootstrapped(by_cluster(values, clusters), quantiles, seed)
    intervals = {column.key: WITHHELD for _, column in PERCENTILES}
    for (q, column), (low, high) in zip(columns, ranges, strict=True):
        intervals[column.key] = Interval(float(np.quantile(values, q)), low, high)
    intervals[MEAN.key] = Interval(float(values.mean()), *of_mean)
    return intervals


def median(values: pd.Series, clusters: pd.Series, seed: int) -> Interval:
    """Return the median of the values with its interval over clusters."""
    low, high = bootstrapped(by_cluster(values, clusters), [0.5], seed)[0]
    return Interval(float(values.median()), low, high)


def throughput(rows: pd.DataFrame) -> Interval:
    """Return pairs per second over all rounds, with the slowest and the fastest round."""
    rounds = rows.groupby("round").agg({"pairs": "sum", "nanoseconds": "sum"})
    per_round = rounds["pairs"] / (rounds["nanoseconds"] / 1e9)
    overall = rounds["pairs"].sum() / (rounds["nanoseconds"].sum() / 1e9)
    return Interval(float(overall), float(per_round.min()), float(per_round.max()))


def by_cluster(values: pd.Series, clusters: pd.Series) -> Matrix:
    """Return the values, shape (clusters, samples per cluster), NaN where one has fewer samples
    than others.
    """
    import numpy as np

    groups = [group.to_numpy(dtype=np.float64) for _, group in values.groupby(clusters, sort=True)]
    matrix = np.full((len(groups), max(map(len, groups))), np.nan)
    for i, group in enumerate(groups):
        matrix[i, : len(group)] = group
    return matrix


def bootstrapped(matrix: Matrix, quantiles: list[float], seed: int) -> list[tuple[float, float]]:
    """Return 95 % percentile intervals of each quantile and, last, of the mean, under resampling of
    whole clusters.

    The upper end of a p95 over little more than 59 queries is bounded by the slowest query seen: it
    is a lower estimate of that end.
    """
    import numpy as np

    n = len(matrix)
    drawn = matrix[np.random.default_rng(seed).integers(0, n, size=(RESAMPLES, n))].reshape(
        RESAMPLES, -1
    )
    if np.isnan(matrix).any():
        statistics = [*np.nanquantile(drawn, quantiles, axis=1), np.nanmean(drawn, axis=1)]
    else:
        statistics = [*np.quantile(drawn, quantiles, axis=1), np.mean(drawn, axis=1)]
    ranges = [np.quantile(values, [0.025, 0.975]) for values in statistics]
    return [(float(low), float(high)) for low, high in ranges]
