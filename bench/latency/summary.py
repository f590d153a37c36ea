"""Summaries of raw timings, computed on reading. Percentiles are numpy's linear ones; never the
best of n.

A percentile q is withheld until the largest sample lies above it with 95 % confidence: n >= ln 0.05
/ ln q independent samples, 59 for p95 and 299 for p99. Every round's sample enters a percentile,
but rounds of one query are not independent: only distinct queries count for withholding, and the
bootstrap draws whole queries with all their rounds (a cluster bootstrap; Davison & Hinkley 1997,
section 3.8).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.latency.sample import TOTAL
from bench.latency.server import is_server

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]

RESAMPLES = 1000
COLD = "cold"
ONE_QUERY = ("single", "request")
"""The scenarios with one query in flight: on this machine, and through a network."""


@dataclass(frozen=True)
class Summary:
    """One trial in one scenario, with 95 % intervals over queries; None stands for what is withheld
    or what the scenario does not ask.

    Milliseconds are of one call: a query in `single` and `request`, where `per_pair_ms` is the
    median of a query's time divided by its candidates (amortised: they were scored together), and
    the whole pool in `offline`, where pairs/s stands with its range over rounds.
    """

    scenario: str
    queries: int
    samples: int
    p50_ms: float
    p50_low_ms: float
    p50_high_ms: float
    p95_ms: float | None
    p95_low_ms: float | None
    p95_high_ms: float | None
    p99_ms: float | None
    p99_low_ms: float | None
    p99_high_ms: float | None
    mean_ms: float
    mean_low_ms: float
    mean_high_ms: float
    per_pair_ms: float | None
    per_pair_low_ms: float | None
    per_pair_high_ms: float | None
    pairs_per_s: float | None
    pairs_per_s_low: float | None
    pairs_per_s_high: float | None


def needed(q: float) -> int:
    """The fewest distinct queries for which the percentile q may be shown: 59 for .95, 299 for
    .99.
    """
    return math.ceil(math.log(0.05) / math.log(q))


def summarise(samples: pd.DataFrame, seed: int = 0) -> dict[tuple[str, str], Summary]:
    """(trial, scenario) -> summary, from the columns of latency.parquet. Warm-ups are left out."""
    if samples.empty:
        return {}
    counted = samples[~samples["warmup"].astype(bool) & (samples["span"] == TOTAL)]
    return {
        (str(trial), str(scenario)): _summary(str(scenario), rows, seed)
        for (trial, scenario), rows in counted.groupby(["trial", "scenario"], sort=False)
    }


def parts(samples: pd.DataFrame) -> dict[tuple[str, str], dict[str, float]]:
    """(trial, scenario) -> the median milliseconds of each part of a call, in the order in which
    the parts were first seen.

    Parts of `single` come from calls of their own (more synchronised than those of its total), so
    that they need not add up to p50.
    """
    if samples.empty:
        return {}
    counted = samples[~samples["warmup"].astype(bool) & (samples["span"] != TOTAL)]
    found: dict[tuple[str, str], dict[str, float]] = {}
    for (trial, scenario, span), nanoseconds in counted.groupby(
        ["trial", "scenario", "span"], sort=False
    )["nanoseconds"]:
        found.setdefault((str(trial), str(scenario)), {})[str(span)] = (
            float(nanoseconds.median()) / 1e6
        )
    return found


def _summary(scenario: str, rows: pd.DataFrame, seed: int) -> Summary:
    import numpy as np

    rows = rows.assign(ms=rows["nanoseconds"].astype(np.float64) / 1e6)
    queries = int(rows["query"].nunique())
    shown = [q for q in (0.5, 0.95, 0.99) if q == 0.5 or queries >= needed(q)]
    *intervals, of_mean = _intervals(_by_cluster(scenario, rows, "ms"), shown, seed)
    times: dict[str, Any] = {
        "mean_ms": float(rows["ms"].mean()),
        "mean_low_ms": of_mean[0],
        "mean_high_ms": of_mean[1],
    }
    for q, name in ((0.5, "p50"), (0.95, "p95"), (0.99, "p99")):
        low, high = intervals[shown.index(q)] if q in shown else (None, None)
        value = float(np.quantile(rows["ms"], q)) if q in shown else None
        times |= {f"{name}_ms": value, f"{name}_low_ms": low, f"{name}_high_ms": high}
    rates = (
        _rates(rows)
        if scenario == "offline"
        else dict.fromkeys(("pairs_per_s", "pairs_per_s_low", "pairs_per_s_high"))
    )
    return Summary(
        scenario=scenario,
        queries=queries,
        samples=len(rows),
        **times,
        **_per_pair(scenario, rows, seed),
        **rates,
    )


def _per_pair(scenario: str, rows: pd.DataFrame, seed: int) -> dict[str, Any]:
    """The median of a query's milliseconds divided by its pairs, where one query is in flight."""
    if scenario not in ONE_QUERY:
        return dict.fromkeys(("per_pair_ms", "per_pair_low_ms", "per_pair_high_ms"))
    rows = rows.assign(each=rows["ms"] / rows["pairs"])
    low, high = _intervals(_by_cluster(scenario, rows, "each"), [0.5], seed)[0]
    return {
        "per_pair_ms": float(rows["each"].median()),
        "per_pair_low_ms": low,
        "per_pair_high_ms": high,
    }


def _rates(rows: pd.DataFrame) -> dict[str, Any]:
    """Pairs per second over all rounds, and the slowest and fastest round."""
    rounds = rows.groupby("round").agg({"pairs": "sum", "nanoseconds": "sum"})
    per_round = rounds["pairs"] / (rounds["nanoseconds"] / 1e9)
    overall = rounds["pairs"].sum() / (rounds["nanoseconds"].sum() / 1e9)
    return {
        "pairs_per_s": float(overall),
        "pairs_per_s_low": float(per_round.min()),
        "pairs_per_s_high": float(per_round.max()),
    }


def _by_cluster(scenario: str, rows: pd.DataFrame, column: str) -> Matrix:
    """A column's values, shape (clusters, samples per cluster), NaN where one has fewer samples
    than others.

    What is drawn whole: a query with its rounds; in `cold` a process; in `server` a stretch of
    arrivals, since who comes after a long wait waits long too (batch means; Law & Kelton,
    Simulation Modeling and Analysis, chapter 9).
    """
    import numpy as np

    by: Any = "query"
    if scenario == COLD:
        by = "round"
    elif is_server(scenario):
        by = rows["round"] // math.ceil(math.sqrt(int(rows["round"].max()) + 1))
    groups = [group.to_numpy(dtype=np.float64) for _, group in rows.groupby(by, sort=True)[column]]
    matrix = np.full((len(groups), max(map(len, groups))), np.nan)
    for i, group in enumerate(groups):
        matrix[i, : len(group)] = group
    return matrix


def _intervals(matrix: Matrix, percentiles: list[float], seed: int) -> list[tuple[float, float]]:
    """95 % percentile intervals of each percentile and, last, of the mean, under resampling of
    whole queries with all their rounds.

    The upper end of a p95 over little more than 59 queries is bounded by the slowest query seen: it
    is a lower estimate of that end.
    """
    import numpy as np

    n = len(matrix)
    drawn = matrix[np.random.default_rng(seed).integers(0, n, size=(RESAMPLES, n))].reshape(
        RESAMPLES, -1
    )
    uneven = np.isnan(matrix).any()
    quantiles = (np.nanquantile if uneven else np.quantile)(drawn, percentiles, axis=1)
    means = (np.nanmean if uneven else np.mean)(drawn, axis=1)
    return [
        (float(low), float(high))
        for low, high in (np.quantile(values, [0.025, 0.975]) for values in (*quantiles, means))
    ]
