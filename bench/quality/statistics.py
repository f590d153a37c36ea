"""Intervals and tests over per-query values.

Percentile bootstrap over queries (Efron 1979; for IR: Sakai, SIGIR 2006), and the paired two-sided
permutation test by sign flips, all of them where few queries moved (Fisher; for IR: Smucker, Allan
& Carterette, CIKM 2007). Both are seeded, so that the same record gives the same interval. The
bounds of the gate are Student's.
"""

from __future__ import annotations

import bisect
import math
import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vector = NDArray[np.float64]
    Places = NDArray[np.int64]

RESAMPLES = 10_000
EXACT = 20
"""Differences up to which the permutation test counts every pattern of signs, 2 ** 20 of them."""
FLIPS = 100_000
"""Random patterns of signs above that: a p of .05 then varies by .0007 (standard deviation) from
seed to seed.
"""
EQUAL = 1e-9
"""Means that lie closer than this are equal: sums of the same values in another order."""
LEVEL = 0.95
ALPHA = 0.05
POWER_FACTOR = 2.8
TAIL_ALLOWANCE = 1.15
"""Simulated (benchmarks/gate_power.py): 95 % hold from 20 queries on where half of them do not move
and the others have heavy tails, from 49 on where four of five do not move.
"""
_BLOCK = 250_000
"""Random numbers drawn at once, and four megabytes of memory. A stream of them is the same however
it is cut.
"""
_KEPT = 2_000_000
"""Places of samples that are kept for the next row: sixteen megabytes, enough for 200 queries."""


@dataclass(frozen=True)
class Estimate:
    """A mean over queries with its two-sided 95 % bootstrap interval. With fewer than two queries
    the interval is the mean itself.
    """

    mean: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class Difference:
    """The mean of paired per-query differences, its interval, the permutation p, and how many
    queries rose, stayed or fell.
    """

    mean: float
    low: float
    high: float
    p: float
    wins: int
    ties: int
    losses: int

    @property
    def queries(self) -> int:
        return self.wins + self.ties + self.losses

    @property
    def moved(self) -> int:
        """How many queries rose or fell."""
        return self.wins + self.losses

    @property
    def is_at_odds(self) -> bool:
        """Whether the interval excludes 0 though p is .05 or more."""
        return (self.low > 0 or self.high < 0) and self.p >= ALPHA


def estimate(
    values: Sequence[float] | Vector, seed: int = 0, resamples: int = RESAMPLES
) -> Estimate:
    """Mean and interval of per-query values, shape (queries,)."""
    import numpy as np

    array = np.asarray(values, dtype=np.float64)
    if array.size == 0:
        return Estimate(0.0, 0.0, 0.0, 0)
    low, high = bootstrap_interval(array, seed, resamples)
    return Estimate(float(array.mean()), low, high, int(array.size))


def difference(new: Sequence[float], old: Sequence[float], seed: int = 0) -> Difference:
    """Paired difference new - old over the same queries in the same order. Raises ValueError when
    the lengths differ.
    """
    import numpy as np

    if len(new) != len(old):
        raise ValueError(
            f"{len(new)} values against {len(old)}: a paired difference needs the same queries"
        )
    delta = np.asarray(new, dtype=np.float64) - np.asarray(old, dtype=np.float64)
    around = estimate(delta, seed)
    wins, losses = int((delta > 0).sum()), int((delta < 0).sum())
    p = permutation_p(delta, seed)
    return Difference(
        around.mean, around.low, around.high, p, wins, int(delta.size) - wins - losses, losses
    )


def bootstrap_interval(
    values: Vector, seed: int, resamples: int = RESAMPLES
) -> tuple[float, float]:
    """Percentile interval of the mean under resampling of queries with replacement."""
    import numpy as np

    n = values.size
    if n < 2 or np.ptp(values) == 0:
        return float(values.mean()), float(values.mean())
    means = np.concatenate([values[places].mean(axis=1) for places in _samples(n, seed, resamples)])
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def permutation_p(delta: Vector, seed: int, flips: int = FLIPS) -> float:
    """Two-sided p of the mean difference under all signs of at most EXACT differences, or (b + 1) /
    (flips + 1) under random ones.

    Zero differences cannot change under a flip and are dropped first, which leaves the test as it
    is.
    """
    import numpy as np

    moved = delta[delta != 0]
    if moved.size == 0:
        return 1.0
    # sums of the same numbers in another order must count as equal
    observed = abs(moved.sum()) - 1e-12 * np.abs(moved).sum()
    if moved.size <= EXACT:
        return float((np.abs(_signed_sums(moved)) >= observed).mean())
    tables = [_signed_sums(moved[start : start + 8]) for start in range(0, moved.size, 8)]
    rng = np.random.default_rng(seed)
    sums = np.zeros(flips)
    for table in tables:
        # a random byte holds the signs of eight differences
        sums += table[rng.integers(0, table.size, flips, dtype=np.uint8)]
    return float(((np.abs(sums) >= observed).sum() + 1) / (flips + 1))


def smallest_p(moved: int) -> float:
    """Return the smallest p that the permutation test can reach where `moved` queries move."""
    if moved > EXACT:
        return 1 / (FLIPS + 1)
    return min(1.0, 2.0 ** (1 - moved))


def _signed_sums(values: Vector) -> Vector:
    """The sums of these values under each pattern of signs, shape (2 ** len(values),)."""
    import numpy as np

    sums = np.zeros(1)
    for value in values:
        sums = np.concatenate([sums + value, sums - value])
    return sums


def _samples(size: int, seed: int, resamples: int) -> Iterable[Places]:
    """Return the places of `resamples` samples of as many values with replacement, in blocks of
    shape (samples, size). Every measure and row of a run asks for the same ones.
    """
    if size * resamples <= _KEPT:
        return _kept_samples(size, seed, resamples)
    return _drawn_samples(size, seed, resamples)


@lru_cache(maxsize=2)
def _kept_samples(size: int, seed: int, resamples: int) -> tuple[Places, ...]:
    return tuple(_drawn_samples(size, seed, resamples))


def _drawn_samples(size: int, seed: int, resamples: int) -> Iterator[Places]:
    """Yield the samples, drawn in blocks of at most _BLOCK numbers."""
    import numpy as np

    rng = np.random.default_rng(seed)
    rows = max(1, _BLOCK // max(1, size))
    for start in range(0, resamples, rows):
        yield rng.integers(0, size, size=(min(rows, resamples - start), size))


def one_sided_bounds(delta: Sequence[float]) -> tuple[float, float]:
    """The lower and the upper bound of the mean by Student's t, each of them one-sided at 95 %.
    Infinite below two values.
    """
    spread, n = _deviation(delta), len(delta)
    if spread is None:
        return -math.inf, math.inf
    mean = sum(delta) / n
    reach = 0.0
    if spread:
        reach = t_quantile(LEVEL, n - 1) * spread / math.sqrt(n)
    return mean - reach, mean + reach


def smallest_margin(delta: Sequence[float]) -> float:
    """The smallest non-inferiority margin that these differences support: no true difference then
    passes, and a true loss of twice the margin fails outright, each at least 95 times in 100.
    Infinite below two queries.
    """
    spread = _deviation(delta)
    if spread is None:
        return math.inf
    return supported_margin(spread, len(delta))


def supported_margin(spread: float, n: int) -> float:
    """The smallest margin that n > 1 paired differences of this standard deviation support.

    Twice the reach of the one-sided bound, which gives 95 % when differences are normal and their
    spread known, and TAIL_ALLOWANCE for spreads that vary from sample to sample.
    """
    if not spread:
        return 0.0
    return TAIL_ALLOWANCE * 2 * t_quantile(LEVEL, n - 1) * spread / math.sqrt(n)


def queries_needed(n: int, supported: float, margin: float) -> int | None:
    """How many queries would support a margin, where n of them support `supported`. None where
    these suffice, or support none.
    """
    if not math.isfinite(supported) or supported <= margin:
        return None
    return math.ceil(n * (supported / margin) ** 2)


def paired_t(delta: Sequence[float]) -> tuple[float, float]:
    """(t, two-sided p) of Student's test that the mean of paired differences is 0. (0, 1) where
    nothing differs or n < 2.
    """
    from scipy.special import stdtr

    spread, n = _deviation(delta), len(delta)
    if n < 2:
        return 0.0, 1.0
    mean = sum(delta) / n
    if not spread:
        if not mean:
            return 0.0, 1.0
        return math.copysign(math.inf, mean), 0.0
    t = mean / (spread / math.sqrt(n))
    return t, float(2 * stdtr(n - 1, -abs(t)))


def t_quantile(p: float, degrees: int) -> float:
    """The quantile of Student's t distribution."""
    from scipy.special import stdtrit

    return float(stdtrit(degrees, p))


def holm(ps: Sequence[float]) -> list[float]:
    """Adjusted p of a family of tests, in the order given (Holm, Scandinavian Journal of Statistics
    1979).
    """
    adjusted = [1.0] * len(ps)
    highest = 0.0
    for rank, i in enumerate(sorted(range(len(ps)), key=lambda i: ps[i])):
        highest = max(highest, min(1.0, (len(ps) - rank) * ps[i]))
        adjusted[i] = highest
    return adjusted


def effect_size(delta: Sequence[float]) -> float | None:
    """Mean over standard deviation of paired differences (Cohen's d for paired samples). None where
    nothing varies.
    """
    spread = _deviation(delta)
    if not spread:
        return None
    return sum(delta) / len(delta) / spread


def minimum_detectable(delta: Sequence[float]) -> float:
    """The true difference that a two-sided test at 5 % finds four times in five with so many
    queries: 2.8 sd / sqrt n.

    2.8 is the sum of the normal quantiles of 97.5 % and 80 % (Cohen, Statistical Power Analysis,
    1988). Infinite below two queries.
    """
    spread = _deviation(delta)
    if spread is None:
        return math.inf
    return POWER_FACTOR * spread / math.sqrt(len(delta))


def kendall_tau(ranks: Sequence[float]) -> float:
    """Agreement of an order with another one, from the ranks that the other gives to the first
    one's items, all of them distinct.

    1 for the same order, -1 for the reverse (Kendall, Biometrika 1938). Fewer than two items agree.
    """
    seen: list[float] = []
    inversions = 0
    for value in ranks:
        place = bisect.bisect(seen, value)
        inversions += len(seen) - place
        seen.insert(place, value)
    pairs = len(seen) * (len(seen) - 1) // 2
    if not pairs:
        return 1.0
    return 1.0 - 2.0 * inversions / pairs


def _deviation(values: Sequence[float]) -> float | None:
    """Sample standard deviation, exactly 0 for equal values; None below two of them."""
    if len(values) < 2:
        return None
    return statistics.stdev(values)
