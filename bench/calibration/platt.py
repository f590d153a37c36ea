"""A logistic curve over the score, and over its place within the list where that is wanted.

Platt, "Probabilistic outputs for support vector machines", 1999, with his smoothed targets; the
same as scikit-learn's `CalibratedClassifierCV(method="sigmoid")`. Three lines apply it:

    x = score * scores + intercept
    x += z * (scores - scores.mean()) / (scores.std() or 1)  # where the map has z
    probabilities = 1 / (1 + np.exp(-x))
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from bench.calibration.lists import ScoredLists
from bench.calibration.logistic import fitted_weights, logistic, smoothed_targets
from bench.calibration.maps import ScoreMap

if TYPE_CHECKING:
    from bench.calibration.arrays import FloatArray

Weight = Annotated[float, Field(allow_inf_nan=False)]


class Platt(ScoreMap):
    """Weights of the logistic curve; `z` and `gap` are None where the map reads the score alone."""

    kind: ClassVar[str] = "platt"
    reads_features: ClassVar[bool] = True

    score: Weight
    intercept: Weight
    z: Weight | None = None
    gap: Weight | None = None

    @property
    def needs_list(self) -> bool:
        return self.z is not None or self.gap is not None

    @property
    def rises(self) -> bool:
        # z rises with the score of one list; a gap may not
        slopes = (self.score, self.z or 0.0)
        return min(slopes) >= 0 and not self.gap

    def of_lists(self, lists: ScoredLists) -> FloatArray:
        values = self.score * lists.scores + self.intercept
        if self.z is not None:
            values += self.z * lists.z_scores()
        if self.gap is not None:
            values += self.gap * lists.gaps()
        return logistic(values)

    @classmethod
    def fitted(
        cls, lists: ScoredLists, labels: FloatArray, features: Sequence[str] = ()
    ) -> ScoreMap:
        import numpy as np

        columns = {"score": lists.scores}
        if "z" in features:
            columns["z"] = lists.z_scores()
        if "gap" in features:
            columns["gap"] = lists.gaps()
        is_known = ~np.isnan(labels)
        matrix = np.column_stack(list(columns.values()))[is_known]
        weights = fitted_weights(matrix, smoothed_targets(labels[is_known])).tolist()
        return cls(intercept=weights[-1], **dict(zip(columns, weights[:-1], strict=True)))
