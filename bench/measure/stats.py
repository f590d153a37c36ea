"""Intervals and tests over per-query values.

Percentile bootstrap over queries (Efron 1979; for IR: Sakai, SIGIR 2006), and the paired two-sided permutation test by random sign flips
(Fisher; for IR: Smucker, Allan & Carterette, CIKM 2007). Both are seeded, so that the same record gives the same interval.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vector = NDArray[np.float64]

RESAMPLES = 10_000
LEVEL = 0.95
_BLOCK = 4_000_000  # random numbers drawn at once: bounds the memory of a resampling at some 32 MB


@dataclass(frozen=True)
class Estimate:
    """A mean over queries with its two-sided 95 % bootstrap interval. With fewer than two queries the interval is the mean itself."""

    mean: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class Difference:
    """The mean of paired per-query differences, its interval, the permutation p, and how many queries rose, stayed or fell."""

    mean: float
    low: float
    high: float
    p: float
    wins: int
    ties: int
    losses: int


def estimate(values: Sequence[float], seed: int = 0, resamples: int = RESAMPLES) -> Estimate:
    """Mean and interval of per-query values, shape (queries,)."""
    import numpy as np

    array = np.asarray(values, dtype=np.float64)
    if array.size == 0:
        return Estimate(0.0, 0.0, 0.0, 0)
    low, high = bootstrap_interval(array, seed, resamples)
    return Estimate(float(array.mean()), low, high, int(array.size))


def difference(new: Sequence[float], old: Sequence[float], seed: int = 0, resamples: int = RESAMPLES) -> Difference:
    """Paired difference new - old over the same queries in the same order. Raises ValueError when the lengths differ."""
    import numpy as np

    if len(new) != len(old):
        raise ValueError(f"{len(new)} values against {len(old)}: a paired difference needs the same queries")
    delta = np.asarray(new, dtype=np.float64) - np.asarray(old, dtype=np.float64)
    around = estimate(list(delta), seed, resamples)
    wins, losses = int((delta > 0).sum()), int((delta < 0).sum())
    p = permutation_p(delta, seed, resamples)
    return Difference(around.mean, around.low, around.high, p, wins, int(delta.size) - wins - losses, losses)


def bootstrap_interval(values: Vector, seed: int, resamples: int = RESAMPLES, level: float = LEVEL) -> tuple[float, float]:
    """Percentile interval of the mean under resampling of queries with replacement."""
    import numpy as np

    n = values.size
    if n < 2 or np.ptp(values) == 0:
        return float(values.mean()), float(values.mean())
    rng = np.random.default_rng(seed)
    means = _in_blocks(resamples, n, lambda rows: values[rng.integers(0, n, size=(rows, n))].mean(axis=1))
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def permutation_p(delta: Vector, seed: int, flips: int = RESAMPLES) -> float:
    """Two-sided p of the mean difference under random signs, (b + 1) / (flips + 1), or exact when there are few enough sign patterns.

    Zero differences cannot change under a flip and are dropped first, which leaves the test as it is.
    """
    import numpy as np

    moved = delta[delta != 0]
    n = moved.size
    if n == 0:
        return 1.0
    observed = abs(moved.sum()) - 1e-12 * np.abs(moved).sum()  # sums of the same numbers in another order must count as equal
    if 2**n <= flips:
        patterns = (np.arange(2**n)[:, None] >> np.arange(n)) & 1
        return float((np.abs((1 - 2 * patterns) @ moved) >= observed).mean())
    rng = np.random.default_rng(seed)
    sums = _in_blocks(flips, n, lambda rows: (1.0 - 2.0 * rng.integers(0, 2, size=(rows, n), dtype=np.int8)) @ moved)
    return float(((np.abs(sums) >= observed).sum() + 1) / (flips + 1))


def _in_blocks(total: int, width: int, draw: Callable[[int], Vector]) -> Vector:
    """`total` results of `draw(rows)`, drawn in blocks of at most _BLOCK numbers."""
    import numpy as np

    rows = max(1, _BLOCK // max(1, width))
    return np.concatenate([draw(min(rows, total - start)) for start in range(0, total, rows)])
