"""Errors of probabilities with their intervals over queries."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.calibration import errors
from bench.calibration.file import ErrorInterval, Errors
from bench.meaning.resampling import CELLS, Resampling, interval

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from bench.calibration.arrays import FloatArray, IntArray

    Matrix = NDArray[np.float64]

AUC = "auc"


@dataclass(frozen=True)
class Labelled:
    """Labels of documents, 0 or 1, and the number of each one's query; shapes (documents,)."""

    labels: FloatArray
    owners: IntArray
    resampling: Resampling

    def by_query(self, values: FloatArray) -> FloatArray:
        """Return the sum of each query's documents, shape (queries,)."""
        import numpy as np

        queries = self.resampling.counts.shape[1]
        sums = np.bincount(self.owners, values, minlength=queries)
        return sums.astype(np.float64)

    def by_cell(self, cells: IntArray, count: int, values: FloatArray) -> Matrix:
        """Return the sums of each query's documents by cell, shape (queries, count)."""
        import numpy as np

        queries = self.resampling.counts.shape[1]
        places = self.owners * count + cells
        sums = np.bincount(places, values, minlength=queries * count)
        return sums.reshape(queries, count).astype(np.float64)


def errors_of(
    probabilities: FloatArray, labelled: Labelled, folds: IntArray | None = None
) -> Errors:
    """Return every error of probabilities with its interval. `folds` are those of documents whose
    probabilities are by a map of each fold: their AUC is the mean over folds.

    The map behind the probabilities stays as it is while queries are drawn anew. The interval of
    ECE is moved by its bootstrap bias: a bin of drawn queries has their noise on top of its own.
    """
    values = {
        "ece_mass": _ece(probabilities, labelled, "mass"),
        "ece_width": _ece(probabilities, labelled, "width"),
    }
    values |= dict(_means(probabilities, labelled))
    values[AUC] = auc_of(probabilities, labelled, folds)
    return values


def _ece(probabilities: FloatArray, labelled: Labelled, by: errors.Binning) -> ErrorInterval:
    value = errors.expected_calibration_error(probabilities, labelled.labels, by=by)
    return _rounded(value, *interval(ece_resamples(probabilities, labelled, by)))


def ece_resamples(
    probabilities: FloatArray, labelled: Labelled, by: errors.Binning = "mass"
) -> FloatArray:
    """Return the ECE of each resample of queries, moved by the bootstrap bias."""
    import numpy as np

    value = errors.expected_calibration_error(probabilities, labelled.labels, by=by)
    places = errors.bin_of(probabilities, by=by)
    distances = labelled.by_cell(places, errors.BINS, probabilities - labelled.labels)
    counts = labelled.by_query(np.ones(len(places)))
    resampled = np.abs(labelled.resampling.sums(distances)).sum(axis=1)
    resampled /= _or_nan(labelled.resampling.sums(counts))
    bias = float(np.nanmean(resampled)) - value
    moved: FloatArray = np.maximum(resampled - bias, 0.0)
    return moved


def brier_resamples(probabilities: FloatArray, labelled: Labelled) -> FloatArray:
    """Return the Brier score of each resample of queries."""
    import numpy as np

    squares = labelled.by_query((probabilities - labelled.labels) ** 2)
    counts = labelled.by_query(np.ones(len(labelled.labels)))
    briers: FloatArray = labelled.resampling.sums(squares) / _or_nan(
        labelled.resampling.sums(counts)
    )
    return briers


def _means(probabilities: FloatArray, labelled: Labelled) -> Iterator[tuple[str, ErrorInterval]]:
    """Yield Brier score, Brier skill and log loss."""
    import numpy as np

    labels = labelled.labels
    columns = np.column_stack(
        [
            labelled.by_query(np.ones(len(labels))),
            labelled.by_query(labels),
            labelled.by_query((probabilities - labels) ** 2),
            labelled.by_query(errors.log_losses(probabilities, labels)),
        ]
    )
    counts, relevant, squares, losses = labelled.resampling.sums(columns).T
    counts = _or_nan(counts)
    share = relevant / counts
    briers = squares / counts
    skills = 1 - briers / _or_nan(share * (1 - share))
    resampled = {"brier": briers, "brier_skill": skills, "log_loss": losses / counts}
    functions = {
        "brier": errors.brier,
        "brier_skill": errors.brier_skill,
        "log_loss": errors.log_loss,
    }
    for name, function in functions.items():
        yield name, _rounded(function(probabilities, labels), *interval(resampled[name]))


def auc_of(scores: FloatArray, labelled: Labelled, folds: IntArray | None = None) -> ErrorInterval:
    """Return the AUC of scores over all queries together, with its interval; of probabilities that
    a map of each fold gave, the mean of the folds' own.

    Maps of other folds are other scales: pairs across folds would compare the maps, and not the
    documents (Forman & Scholz, SIGKDD Explorations 12(1), 2010). A fold without relevant documents,
    or without others, has no AUC and is left out.
    """
    import numpy as np

    if folds is None:
        value = errors.auc(scores, labelled.labels)
        return _rounded(value, *interval(auc_resamples(scores, labelled)))
    values: list[float] = []
    resampled: list[FloatArray] = []
    for fold in np.unique(folds):
        is_own = folds == fold
        own = Labelled(labelled.labels[is_own], labelled.owners[is_own], labelled.resampling)
        value = errors.auc(scores[is_own], own.labels)
        if not np.isnan(value):
            values.append(value)
            resampled.append(auc_resamples(scores[is_own], own))
    if not values:
        return ErrorInterval(value=None)
    return _rounded(float(np.mean(values)), *interval(_means_over(resampled)))


def _means_over(resampled: Sequence[FloatArray]) -> FloatArray:
    """Return the mean over folds of each resample, of those that have a value there."""
    import numpy as np

    table = np.array(resampled)
    is_known = np.isfinite(table)
    sums = np.where(is_known, table, 0.0).sum(axis=0)
    means: FloatArray = sums / _or_nan(is_known.sum(axis=0).astype(np.float64))
    return means


def auc_resamples(scores: FloatArray, labelled: Labelled) -> FloatArray:
    """Return the AUC of each resample of queries."""
    import numpy as np

    _, cells, sizes = np.unique(scores, return_inverse=True, return_counts=True)
    count = len(sizes)
    if count > CELLS:
        # equal scores stay together
        below = np.cumsum(sizes) - sizes
        cells = (below * CELLS // len(scores))[cells]
        count = CELLS
    labels = labelled.labels
    relevant = labelled.resampling.sums(labelled.by_cell(cells, count, labels))
    others = labelled.resampling.sums(labelled.by_cell(cells, count, 1 - labels))
    lower = np.cumsum(others, axis=1) - others
    wins = (relevant * (lower + others / 2)).sum(axis=1)
    resampled: FloatArray = wins / _or_nan(relevant.sum(axis=1) * others.sum(axis=1))
    return resampled


def _or_nan(values: FloatArray) -> FloatArray:
    """Return divisors, NaN in the place of 0."""
    import numpy as np

    divisors: FloatArray = np.where(values == 0, np.nan, values)
    return divisors


def _rounded(value: float, low: float | None, high: float | None) -> ErrorInterval:
    """Return an error as files and tables have it: None where it is not defined."""
    import math

    if math.isnan(value):
        return ErrorInterval(value=None)
    return ErrorInterval(value=value, low=low, high=high)
