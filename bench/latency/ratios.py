"""How much slower? The median of paired ratios of times, query by query.

Two rerankers timed in turn on the same query suffer the same disturbance, so that their ratio holds
where their times do not: over repeated processes on a loaded machine it moved by 3 % where the
ratio of totals moved by 26 %, and of runs one after the other by 45 %.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bench.latency.summary import RESAMPLES

Times = Mapping[str, Mapping[int, float]]
"""Query -> round -> time."""


@dataclass(frozen=True)
class Ratio:
    """new / old: the median over all pairs, and its 95 % interval over queries. `queries` were
    timed on both sides.
    """

    median: float
    low: float
    high: float
    queries: int


def paired_ratio(new: Times, old: Times, seed: int = 0, resamples: int = RESAMPLES) -> Ratio | None:
    """Return the ratio over the queries that both sides timed, round by round. None where there is
    no such query.

    The bootstrap draws queries, each with all its rounds, since rounds of one query are not
    independent (Davison & Hinkley 1997, 3.8).
    """
    import numpy as np

    pairs = [
        [times[turn] / old[query][turn] for turn in times if turn in old[query]]
        for query, times in new.items()
        if query in old
    ]
    pairs = [ratios for ratios in pairs if ratios]
    if not pairs:
        return None
    matrix = np.full((len(pairs), max(map(len, pairs))), np.nan)
    for row, ratios in zip(matrix, pairs, strict=True):
        row[: len(ratios)] = ratios
    n = len(matrix)
    drawn = matrix[np.random.default_rng(seed).integers(0, n, size=(resamples, n))].reshape(
        resamples, -1
    )
    low, high = np.quantile(np.nanmedian(drawn, axis=1), [0.025, 0.975])
    return Ratio(float(np.nanmedian(matrix)), float(low), float(high), n)
