"""Scores far from all others, which bend a logistic curve: its loss grows with their distance, so
that a few of them can flatten it for all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.calibration.lists import ScoredLists
from bench.calibration.logistic import fitted_weights, smoothed_targets
from bench.core.errors import CalibrationError
from bench.core.note import Code, Note, note

if TYPE_CHECKING:
    from bench.calibration.arrays import FloatArray

INNER = (0.05, 0.95)
"""The quantiles between which the usual scores lie."""
REACH = 5.0
"""How many times their distance a score lies from the median that is far."""
FLATTER = 1.5
"""From which ratio of the slopes on, without the far scores and with them, these are noted."""


def far_scores(lists: ScoredLists, labels: FloatArray) -> Note | None:
    """Return a note where far scores flatten Platt's curve; None where there are none, or where the
    curve is much the same without them. `labels` are 1, 0, and NaN for documents that do not count.
    """
    import numpy as np

    is_known = ~np.isnan(labels)
    scores, known = lists.scores[is_known], labels[is_known]
    if not len(scores):
        return None
    low, middle, high = np.quantile(scores, [INNER[0], 0.5, INNER[1]])
    is_near = np.abs(scores - middle) <= REACH * (high - low)
    if high <= low or is_near.all() or not 0 < known[is_near].sum() < is_near.sum():
        return None
    try:
        slope = _slope(scores, known)
    except CalibrationError:
        # there is no curve that they could flatten
        return None
    without = _slope(scores[is_near], known[is_near])
    if without <= 0 or FLATTER * slope > without:
        return None
    return note(Code.FAR_SCORES, int((~is_near).sum()), len(scores))


def _slope(scores: FloatArray, labels: FloatArray) -> float:
    """Return the slope of Platt's curve."""
    weights = fitted_weights(scores[:, None], smoothed_targets(labels))
    return float(weights[0])
