"""Queries drawn anew, all at once: the cluster bootstrap, which draws a query with all of its
documents (Efron & Tibshirani 1993; documents of one query are not independent).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.quality.statistics import LEVEL

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from bench.calibration.arrays import FloatArray

    Matrix = NDArray[np.float64]

RESAMPLES = 1_000
CELLS = 500
"""Steps of the scores among which the resampled AUC counts pairs: beyond them, neighbours tie."""


class Resampling:
    """How often each query is drawn in each resample: shape (resamples, queries)."""

    def __init__(self, queries: int, seed: int, resamples: int = RESAMPLES) -> None:
        import numpy as np

        rng = np.random.default_rng(seed)
        drawn = rng.integers(0, queries, size=(resamples, queries))
        drawn += np.arange(resamples)[:, None] * queries
        counts = np.bincount(drawn.ravel(), minlength=resamples * queries)
        self.counts: Matrix = counts.reshape(resamples, queries).astype(np.float64)

    def sums(self, values: Matrix) -> Matrix:
        """Return the sums over the drawn queries: shape (queries, ...) to (resamples, ...)."""
        sums: Matrix = self.counts @ values
        return sums


def interval(values: FloatArray) -> tuple[float | None, float | None]:
    """Return the percentile interval of resampled values; (None, None) where none is defined."""
    import numpy as np

    finite = values[np.isfinite(values)]
    if not len(finite):
        return None, None
    low, high = np.quantile(finite, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
