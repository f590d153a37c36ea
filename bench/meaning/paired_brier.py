"""Whether two rows differ in the Brier score of the same documents: a paired permutation test over
queries.

A Brier score is a mean over documents, so that each query has its share of the difference. Where
neither row is better, the two may change places query by query: each share may have either sign
(Fisher's test of matched pairs; for IR: Smucker, Allan & Carterette, CIKM 2007). ECE is no such
mean: its bins pool queries, and what noise adds to it depends on the number of documents, so that
there is no share of a query to turn. A difference of ECE has an interval, and this test is of the
Brier score, which falls with calibration error, too (Murphy, Journal of Applied Meteorology 1973).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.meaning.resampling import Resampling, interval
from bench.quality import statistics

if TYPE_CHECKING:
    from bench.calibration.arrays import FloatArray


@dataclass(frozen=True)
class SquaredErrors:
    """Squared errors of a row's probabilities, summed by query, and the number of documents that
    they are of; shapes (queries,).
    """

    query_ids: Sequence[str]
    sums: FloatArray
    documents: FloatArray

    def fits(self, other: SquaredErrors) -> bool:
        """Return whether another row's are of as many documents of the same queries."""
        import numpy as np

        is_same = list(self.query_ids) == list(other.query_ids)
        return is_same and bool(np.array_equal(self.documents, other.documents))


@dataclass(frozen=True)
class BrierDifference:
    """A row's Brier score less that of another one, with its 95 % interval, the p of the test and
    that after Holm's correction over the rows of a table. `baseline` is the other row's name.
    """

    baseline: str
    mean: float
    low: float | None
    high: float | None
    p: float
    p_holm: float


def brier_p(new: FloatArray, old: FloatArray, seed: int) -> float:
    """Return the two-sided p of sums of squared errors by query, shapes (queries,)."""
    return statistics.permutation_p(new - old, seed)


def brier_differences(
    new: Sequence[SquaredErrors | None], baseline: SquaredErrors, name: str, seed: int
) -> list[BrierDifference | None]:
    """Return the difference of each row to a baseline of this name; None for a row without errors,
    for the baseline itself, and where they are of other documents.
    """
    import numpy as np

    resampling = Resampling(len(baseline.query_ids), seed)
    documents = resampling.sums(baseline.documents)
    documents[documents == 0] = np.nan
    comparable = [own for own in new if _is_comparable(own, baseline)]
    ps = [brier_p(own.sums, baseline.sums, seed) for own in comparable if own is not None]
    adjusted = iter(zip(ps, statistics.holm(ps), strict=True))
    differences: list[BrierDifference | None] = []
    for own in new:
        if own is None or not _is_comparable(own, baseline):
            differences.append(None)
            continue
        p, p_holm = next(adjusted)
        delta = own.sums - baseline.sums
        low, high = interval(resampling.sums(delta) / documents)
        mean = float(delta.sum() / baseline.documents.sum())
        differences.append(BrierDifference(name, mean, low, high, p, p_holm))
    return differences


def _is_comparable(own: SquaredErrors | None, baseline: SquaredErrors) -> bool:
    return own is not None and own is not baseline and own.fits(baseline)
