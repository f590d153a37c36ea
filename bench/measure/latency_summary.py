"""Summaries of raw timings, computed on reading. Percentiles are numpy's linear ones; never the best of n.

A percentile q is withheld until the largest sample lies above it with 95 % confidence: n >= ln 0.05 / ln q independent samples, 59 for
p95 and 299 for p99. Rounds of one query are not independent, so only distinct queries count, and the bootstrap draws whole queries.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]

RESAMPLES = 1000


@dataclass(frozen=True)
class Summary:
    """One trial in one scenario. Milliseconds per query, with 95 % intervals; pairs/s with the range over rounds (`offline` only)."""

    scenario: str
    queries: int
    samples: int
    p50_ms: float
    p50_low_ms: float
    p50_high_ms: float
    p95_ms: float | None
    p99_ms: float | None
    mean_ms: float
    per_pair_ms: float
    pairs_per_s: float
    pairs_per_s_low: float
    pairs_per_s_high: float


def needed(q: float) -> int:
    """The fewest distinct queries for which the percentile q may be shown: 59 for .95, 299 for .99."""
    return math.ceil(math.log(0.05) / math.log(q))


def summarise(samples: pd.DataFrame, seed: int = 0) -> dict[tuple[str, str], Summary]:
    """(trial, scenario) -> summary, from the columns of latency.parquet. Warm-ups are left out."""
    if samples.empty:
        return {}
    counted = samples[~samples["warmup"].astype(bool) & (samples["span"] == "total")]
    return {
        (str(trial), str(scenario)): _summary(str(scenario), rows, seed)
        for (trial, scenario), rows in counted.groupby(["trial", "scenario"])
    }


def _summary(scenario: str, rows: pd.DataFrame, seed: int) -> Summary:
    import numpy as np

    milliseconds = rows["nanoseconds"].to_numpy(dtype=np.float64) / 1e6
    pairs = rows["pairs"].to_numpy(dtype=np.float64)
    queries = int(rows["query"].nunique())
    low, high = _median_interval(_by_query(rows), seed)
    rates = rows.groupby("round").agg({"pairs": "sum", "nanoseconds": "sum"})
    per_round = (rates["pairs"] / (rates["nanoseconds"] / 1e9)).to_numpy(dtype=np.float64)
    shown: Mapping[float, Any] = {q: float(np.quantile(milliseconds, q)) if queries >= needed(q) else None for q in (0.95, 0.99)}
    return Summary(
        scenario=scenario,
        queries=queries,
        samples=len(rows),
        p50_ms=float(np.median(milliseconds)),
        p50_low_ms=low,
        p50_high_ms=high,
        p95_ms=shown[0.95],
        p99_ms=shown[0.99],
        mean_ms=float(milliseconds.mean()),
        per_pair_ms=float(np.median(milliseconds / pairs)),
        pairs_per_s=float(pairs.sum() / (milliseconds.sum() / 1e3)),
        pairs_per_s_low=float(per_round.min()),
        pairs_per_s_high=float(per_round.max()),
    )


def _by_query(rows: pd.DataFrame) -> Matrix:
    """Milliseconds, shape (queries, samples per query), NaN where a query was timed less often than others."""
    import numpy as np

    groups = [group.to_numpy(dtype=np.float64) / 1e6 for _, group in rows.groupby("query", sort=True)["nanoseconds"]]
    matrix = np.full((len(groups), max(map(len, groups))), np.nan)
    for i, group in enumerate(groups):
        matrix[i, : len(group)] = group
    return matrix


def _median_interval(matrix: Matrix, seed: int) -> tuple[float, float]:
    """95 % percentile interval of the median under resampling of whole queries."""
    import numpy as np

    n = len(matrix)
    drawn = matrix[np.random.default_rng(seed).integers(0, n, size=(RESAMPLES, n))].reshape(RESAMPLES, -1)
    medians = np.nanmedian(drawn, axis=1) if np.isnan(matrix).any() else np.median(drawn, axis=1)
    low, high = np.quantile(medians, [0.025, 0.975])
    return float(low), float(high)
