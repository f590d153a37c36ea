"""How far probabilities are from labels: each error a number of plain arrays.

`probabilities` lie from 0 to 1, `labels` are 1 for relevant and 0 for others, both of shape
(documents,). Where an error is not defined, as over no document, it is NaN. ECE says nothing of
how well relevant documents are told from others, so that it is never reported alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from bench.calibration.arrays import FloatArray, IntArray

Binning = Literal["mass", "width"]
BINS = 10
SMALLEST = 2.220446049250313e-16
"""A probability of 0 or 1 counts as this far from it in the log loss, as in scikit-learn."""


@dataclass(frozen=True)
class Bins:
    """The points of a reliability curve, by rising probability; bins without documents have none.

    Shapes (bins,): mean probability, share of relevant documents, documents.
    """

    predicted: FloatArray
    observed: FloatArray
    documents: IntArray


def bin_of(probabilities: FloatArray, bins: int = BINS, by: Binning = "mass") -> IntArray:
    """Return the bin of each probability, from 0: of equal width from 0 to 1, or between the
    quantiles, so that each has about as many documents. Equal probabilities share a bin.

    Edges are those of scikit-learn's `calibration_curve`.
    """
    import numpy as np

    steps = np.linspace(0.0, 1.0, bins + 1)
    edges = steps
    if by == "mass" and len(probabilities):
        edges = np.percentile(probabilities, steps * 100)
    places: IntArray = np.searchsorted(edges[1:-1], probabilities)
    return places


def reliability(
    probabilities: FloatArray, labels: FloatArray, bins: int = BINS, by: Binning = "mass"
) -> Bins:
    """Return the points of the reliability curve."""
    import numpy as np

    places = bin_of(probabilities, bins, by)
    counts = np.bincount(places, minlength=bins)
    predicted = np.bincount(places, probabilities, minlength=bins)
    observed = np.bincount(places, labels, minlength=bins)
    full = counts > 0
    return Bins(predicted[full] / counts[full], observed[full] / counts[full], counts[full])


def expected_calibration_error(
    probabilities: FloatArray, labels: FloatArray, bins: int = BINS, by: Binning = "mass"
) -> float:
    """Return the mean distance of predicted and observed shares over the bins, each counting as
    many times as it has documents (Naeini et al., AAAI 2015).
    """
    import numpy as np

    if not len(labels):
        return float("nan")
    curve = reliability(probabilities, labels, bins, by)
    distances = np.abs(curve.predicted - curve.observed)
    return float(distances @ curve.documents) / len(labels)


def brier(probabilities: FloatArray, labels: FloatArray) -> float:
    """Return the mean squared difference (Brier 1950); 0 is the best."""
    import numpy as np

    if not len(labels):
        return float("nan")
    return float(np.mean((probabilities - labels) ** 2))


def brier_skill(probabilities: FloatArray, labels: FloatArray) -> float:
    """Return 1 less the Brier score over that of always saying the share of relevant documents: 1
    is the best, 0 as good as that share, below 0 worse. NaN where all labels are equal.
    """
    if not len(labels):
        return float("nan")
    share = float(labels.mean())
    if share in (0.0, 1.0):
        return float("nan")
    return 1 - brier(probabilities, labels) / (share * (1 - share))


def log_losses(probabilities: FloatArray, labels: FloatArray) -> FloatArray:
    """Return the log loss of each document, shape (documents,)."""
    import numpy as np

    inside = np.clip(probabilities, SMALLEST, 1 - SMALLEST)
    losses: FloatArray = -np.log(np.where(labels > 0, inside, 1 - inside))
    return losses


def log_loss(probabilities: FloatArray, labels: FloatArray) -> float:
    """Return the mean negative logarithm of what the labels were predicted with."""
    if not len(labels):
        return float("nan")
    return float(log_losses(probabilities, labels).mean())


def auc(scores: FloatArray, labels: FloatArray) -> float:
    """Return the share of pairs of a relevant document and another in which the relevant one has
    the higher score, ties counting half: the area under the ROC curve, over all queries together.
    NaN where all labels are equal.
    """
    is_relevant = labels > 0
    return auc_of(scores[is_relevant], scores[~is_relevant])


def auc_of(relevant: FloatArray, others: FloatArray) -> float:
    """Return the same of the scores of relevant documents and of the others (Hanley & McNeil,
    Radiology 1982).
    """
    import numpy as np

    if not len(relevant) or not len(others):
        return float("nan")
    ordered = np.sort(others)
    below = np.searchsorted(ordered, relevant, side="left").sum()
    up_to = np.searchsorted(ordered, relevant, side="right").sum()
    return float((int(below) + int(up_to)) / 2 / (len(relevant) * len(others)))
