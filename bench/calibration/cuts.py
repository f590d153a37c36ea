"""A threshold of scores with a guarantee over queries: conformal risk control (Angelopoulos, Bates,
Fisch, Lei & Schuster, 2022, arXiv 2208.02814).

A document is kept where its score is the threshold or more. Each query has a loss from 0 to 1 that
only grows as the threshold moves one way; the threshold is the last one on that way for which the
losses of n queries sum to at most (n + 1) level - 1. Then the expected loss of another query,
exchangeable with these, is at most the level: over the drawing of all n + 1 queries, and not for
each threshold that may come out.

- Recall: the share of a query's relevant documents that are cut off; over queries whose list has a
  relevant document.
- Precision: the share of what is kept that is not relevant, 0 where nothing is kept. It may fall as
  the threshold does, so that its running maximum, from the highest score down, takes its place: it
  is never less, and what holds of it holds of the share.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from bench.calibration.lists import ScoredLists

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from bench.calibration.arrays import BoolArray, FloatArray, IntArray

    Matrix = NDArray[np.float64]

Goal = Literal["recall", "precision"]
EVERYTHING = -math.inf
"""A threshold that keeps all documents."""
NOTHING = math.inf
"""A threshold that keeps none."""
SLACK = 1e-9
"""What sums of shares may differ by in their last digits."""


@dataclass(frozen=True)
class Steps:
    """How the losses of all queries grow along the thresholds: by `rise` for query `owner` once
    the threshold has passed `score`. In the order of passing; `queries` are those that have a
    loss. Shapes (steps,).
    """

    goal: Goal
    scores: FloatArray
    owners: IntArray
    rises: FloatArray
    queries: IntArray

    def threshold(self, level: float) -> float:
        """Return the threshold that keeps the expected loss of another query to 1 - `level`."""
        bound = (len(self.queries) + 1) * (1 - level) - 1
        return float(self._thresholds(self.rises[None, :], bound)[0])

    def resampled(self, level: float, counts: Matrix) -> FloatArray:
        """Return the threshold of each resample, shape (resamples,); `counts` say how often each
        query was drawn, shape (resamples, queries of the run).
        """
        import numpy as np

        bounds = (counts[:, self.queries].sum(axis=1) + 1) * (1 - level) - 1
        thresholds = np.empty(len(counts))
        block = max(1, 4_000_000 // max(1, len(self.scores)))
        for start in range(0, len(counts), block):
            part = slice(start, start + block)
            rises = counts[part][:, self.owners] * self.rises
            thresholds[part] = self._thresholds(rises, bounds[part])
        return thresholds

    def _thresholds(self, rises: Matrix, bounds: FloatArray | float) -> FloatArray:
        """Return, for each row of rises, the last threshold whose losses sum to at most its
        bound.
        """
        import numpy as np

        nowhere = EVERYTHING if self.goal == "recall" else NOTHING
        if not len(self.scores):
            return np.full(len(rises), nowhere)
        ends = self._ends
        sums = np.cumsum(rises, axis=1)[:, ends]
        limits = np.broadcast_to(np.asarray(bounds, dtype=np.float64), (len(rises),))
        is_too_much = sums > limits[:, None] + SLACK
        # the first value that must not be passed; all may be where there is none
        passed = np.where(is_too_much.any(axis=1), is_too_much.argmax(axis=1), len(ends))
        values = self.scores[ends]
        if self.goal == "recall":
            # at the value itself its documents are kept
            choices = np.append(values, NOTHING)
        else:
            # the value above it is the lowest that leaves it out
            choices = np.append(NOTHING, values)
        thresholds: FloatArray = choices[passed]
        thresholds[limits < -SLACK] = nowhere
        return thresholds

    @property
    def _ends(self) -> IntArray:
        """The last step of each score."""
        import numpy as np

        is_last = np.ones(len(self.scores), dtype=bool)
        is_last[:-1] = self.scores[1:] != self.scores[:-1]
        return np.flatnonzero(is_last)


def steps_of(goal: Goal, lists: ScoredLists, labels: FloatArray) -> Steps:
    """Return the steps of a goal. `labels` are 1, 0, and NaN for documents that do not count."""
    if goal == "recall":
        return _recall_steps(lists, labels)
    return _precision_steps(lists, labels)


def _recall_steps(lists: ScoredLists, labels: FloatArray) -> Steps:
    """Return how much recall is lost as the threshold rises past each relevant document."""
    import numpy as np

    is_relevant = labels == 1
    owners = lists.owners[is_relevant]
    scores = lists.scores[is_relevant]
    relevant = np.bincount(owners, minlength=len(lists.offsets) - 1)
    order = np.argsort(scores, kind="stable")
    owners = owners[order]
    queries = np.flatnonzero(relevant)
    return Steps("recall", scores[order], owners, 1.0 / relevant[owners], queries)


def _precision_steps(lists: ScoredLists, labels: FloatArray) -> Steps:
    """Return how much the running maximum of each query's false share rises as the threshold falls
    to each document.
    """
    import numpy as np

    is_known = ~np.isnan(labels)
    order = np.lexsort((-lists.scores[is_known], lists.owners[is_known]))
    owners = lists.owners[is_known][order]
    scores = lists.scores[is_known][order]
    false = 1 - labels[is_known][order]
    # shares of the documents down to the last of each query and score
    is_last = np.ones(len(scores), dtype=bool)
    is_last[:-1] = (scores[1:] != scores[:-1]) | (owners[1:] != owners[:-1])
    starts = np.concatenate([[0], np.cumsum(np.bincount(owners))])[owners]
    totals = np.concatenate([[0.0], np.cumsum(false)])
    places = np.arange(1, len(scores) + 1)
    shares = ((totals[places] - totals[starts]) / (places - starts))[is_last]
    owners = owners[is_last]
    scores = scores[is_last]
    maxima = _running_maxima(shares, owners)
    before = np.concatenate([[0.0], maxima[:-1]])
    before[np.flatnonzero(np.diff(owners, prepend=-1))] = 0.0
    order = np.argsort(-scores, kind="stable")
    rises = (maxima - before)[order]
    queries = np.unique(owners)
    return Steps("precision", scores[order], owners[order], rises, queries)


def _running_maxima(values: FloatArray, owners: IntArray) -> FloatArray:
    """Return the largest value so far of each query, whose values are next to each other."""
    import numpy as np

    # queries one above the other: values lie from 0 to 1
    shifted: FloatArray = np.maximum.accumulate(values + 2.0 * owners) - 2.0 * owners
    return shifted


def recall_losses(lists: ScoredLists, labels: FloatArray, is_kept: BoolArray) -> FloatArray:
    """Return the share of each query's relevant documents that are cut off, shape (queries,); NaN
    where its list has none. `is_kept` has the shape (documents,).
    """
    import numpy as np

    queries = len(lists.offsets) - 1
    is_relevant = labels == 1
    owners = lists.owners[is_relevant]
    lost = np.bincount(owners, ~is_kept[is_relevant], minlength=queries)
    relevant = np.bincount(owners, minlength=queries).astype(np.float64)
    relevant[relevant == 0] = np.nan
    losses: FloatArray = lost / relevant
    return losses


def precision_losses(lists: ScoredLists, labels: FloatArray, is_kept: BoolArray) -> FloatArray:
    """Return the share of what is kept of each query that is not relevant, 0 where nothing is kept,
    shape (queries,); NaN where no document counts.
    """
    import numpy as np

    queries = len(lists.offsets) - 1
    is_known = ~np.isnan(labels)
    counts = is_known & is_kept
    documents = np.bincount(lists.owners[counts], minlength=queries)
    false = np.bincount(lists.owners[counts], 1 - labels[counts], minlength=queries)
    losses = false / np.maximum(documents, 1)
    losses[np.bincount(lists.owners[is_known], minlength=queries) == 0] = np.nan
    return losses
