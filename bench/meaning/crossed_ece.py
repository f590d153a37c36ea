"""ECE for differences of two runs, without the part that the noise of the labels adds.

The ECE of few pairs is above the true one, and the more so the better the probabilities are: the
absolute value of a bin's distance counts its noise. So the difference of two such errors is too
small, and a test of it would pass a loss of its margin two times in three. Here a bin counts with
the sign that its distance has on the queries of the *other* folds: noise then adds as often as it
takes away.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.calibration import errors
from bench.meaning.resampling import Resampling

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from bench.calibration.arrays import FloatArray, IntArray

    Matrix = NDArray[np.float64]

FOLDS = 10


def crossed_ece(
    probabilities: FloatArray, labels: FloatArray, owners: IntArray, queries: int, seed: int
) -> tuple[float, FloatArray]:
    """Return the ECE by signs of other folds, and that of each resample of queries, drawn within
    the folds. Two lists of probabilities of the same queries get the same folds and draws.
    """
    import numpy as np

    cells = owners * errors.BINS + errors.bin_of(probabilities)
    size = queries * errors.BINS
    distances = np.bincount(cells, probabilities - labels, minlength=size)
    by_query = np.column_stack(
        [distances.reshape(queries, errors.BINS), np.bincount(owners, minlength=queries)]
    )
    fold_of = np.random.default_rng(seed).permutation(np.arange(queries) % FOLDS)
    measured: list[Matrix] = []
    drawn: list[Matrix] = []
    for fold in range(FOLDS):
        members = by_query[fold_of == fold]
        if len(members):
            measured.append(members.sum(axis=0, keepdims=True))
            drawn.append(Resampling(len(members), seed + fold).sums(members))
    return float(_errors(measured)[0]), _errors(drawn)


def _errors(folds: list[Matrix]) -> FloatArray:
    """Return the errors of resamples. The sums of a fold have the shape (resamples, bins + 1): the
    distances of each bin, and the number of pairs.
    """
    import numpy as np

    sums = np.stack(folds)
    pairs = sums[:, :, -1].sum(axis=0)
    own = sums[:, :, :-1]
    others = own.sum(axis=0) - own
    # of a single fold, there are no others to ask
    totals = (np.sign(others) * own).sum(axis=(0, 2))
    values: FloatArray = totals / np.maximum(pairs, 1)
    return values
