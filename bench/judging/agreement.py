"""How far a person and the model agree: Cohen's kappa, plain and with quadratic weights, accuracy,
and their intervals, over a sample that was drawn by the model's grade.

Kappa: Cohen 1960, Educational and Psychological Measurement 20; with weights: Cohen 1968,
Psychological Bulletin 70. Pairs count by the inverse of their chance to be drawn, so that what is
estimated is the agreement over all judgments and not over the sample. Intervals: bootstrap within
the strata of the sample (Efron and Tibshirani 1993, chapter 8).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]

RESAMPLES = 2000
LEVEL = (2.5, 97.5)


@dataclass(frozen=True)
class Interval:
    """A value with its 95 % interval; None where it is not defined, as kappa is not where one grade
    was given to every pair.
    """

    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Agreement:
    """`counts` are reviewed pairs by the model's grade and the person's, shape (grades, grades);
    `totals` are all of the model's judgments by its grade; `scale` names the grades.
    """

    scale: Sequence[int]
    counts: FloatArray
    totals: FloatArray
    kappa: Interval
    weighted: Interval
    accuracy: Interval

    @property
    def pairs(self) -> int:
        return int(self.counts.sum())

    @property
    def has_flat_interval(self) -> bool:
        """Whether each grade of the model met a single grade of the person: a bootstrap of such a
        sample has nothing to vary, however few pairs it holds.
        """
        return bool(((self.counts > 0).sum(axis=1) <= 1).all())

    @property
    def shares(self) -> FloatArray:
        """The estimated shares of all judgments, shape (grades, grades)."""
        table = expanded(self.counts, self.totals)
        shares: FloatArray = table / table.sum()
        return shares


def agreement(scale: Sequence[int], counts: FloatArray, totals: FloatArray, seed: int) -> Agreement:
    """Return the agreement of a review."""
    import numpy as np

    generator = np.random.default_rng(seed)
    tables = np.stack([_resampled(row, generator) for row in counts], axis=1)
    drawn = expanded(tables, totals)
    own = expanded(counts, totals)
    return Agreement(
        scale,
        counts,
        totals,
        _interval(kappa(own), kappa(drawn)),
        _interval(kappa(own, quadratic=True), kappa(drawn, quadratic=True)),
        _interval(accuracy(own), accuracy(drawn)),
    )


def expanded(counts: FloatArray, totals: FloatArray) -> FloatArray:
    """Return tables of reviewed pairs with each row as large as its stratum. A grade of which no
    pair was reviewed counts nothing. Shapes (..., grades, grades) and (grades,).
    """
    import numpy as np

    sizes = counts.sum(axis=-1, keepdims=True)
    tables: FloatArray = counts * totals[:, None] / np.maximum(sizes, 1)
    return tables


def kappa(tables: FloatArray, *, quadratic: bool = False) -> FloatArray:
    """Return Cohen's kappa of each table, NaN where chance alone agrees always. Shapes (...,
    grades, grades) and (...).
    """
    import numpy as np

    size = tables.shape[-1]
    places = np.arange(size)
    distances = places[:, None] - places[None, :]
    weights = (distances != 0).astype(np.float64)
    if quadratic:
        weights = (distances**2).astype(np.float64)
    rows = tables.sum(axis=-1)
    columns = tables.sum(axis=-2)
    totals = tables.sum(axis=(-1, -2))
    expected = rows[..., :, None] * columns[..., None, :] / totals[..., None, None]
    observed = (weights * tables).sum(axis=(-1, -2))
    by_chance = (weights * expected).sum(axis=(-1, -2))
    with np.errstate(divide="ignore", invalid="ignore"):
        values: FloatArray = np.where(by_chance > 0, 1 - observed / by_chance, np.nan)
    return values


def accuracy(tables: FloatArray) -> FloatArray:
    """Return the share of each table on its diagonal."""
    import numpy as np

    shares: FloatArray = np.trace(tables, axis1=-2, axis2=-1) / tables.sum(axis=(-1, -2))
    return shares


def _resampled(row: FloatArray, generator: np.random.Generator) -> FloatArray:
    """Return resamples of the pairs of one stratum by the person's grade, shape (resamples,
    grades).
    """
    import numpy as np

    size = int(row.sum())
    if not size:
        return np.zeros((RESAMPLES, len(row)))
    drawn: FloatArray = generator.multinomial(size, row / size, RESAMPLES).astype(np.float64)
    return drawn


def _interval(value: FloatArray, resamples: FloatArray) -> Interval:
    import numpy as np

    if np.isnan(value):
        return Interval(None, None, None)
    low, high = np.nanpercentile(resamples, LEVEL)
    return Interval(float(value), float(low), float(high))
