"""The rising steps that fit best, joined by straight lines: isotonic regression.

Zadrozny & Elkan, KDD 2002; pooled by `scipy.optimize.isotonic_regression` once equal scores are one
point, and the same as scikit-learn's `IsotonicRegression(out_of_bounds="clip")`. A line applies it:

    probabilities = np.interp(scores, map["scores"], map["probabilities"])
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field, model_validator

from bench.calibration.lists import ScoredLists
from bench.calibration.maps import ScoreMap

if TYPE_CHECKING:
    from bench.calibration.arrays import FloatArray

Knot = Annotated[float, Field(allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]


class Isotonic(ScoreMap):
    """The corners of the curve: scores that rise, and the probability of each."""

    kind: ClassVar[str] = "isotonic"

    scores: list[Knot] = Field(min_length=1)
    # the method of the base class has this name
    values: list[Share] = Field(min_length=1, alias="probabilities")

    @model_validator(mode="after")
    def _rising(self) -> Isotonic:
        if len(self.scores) != len(self.values):
            raise ValueError(
                f"{len(self.scores)} scores and {len(self.values)} probabilities are no curve"
            )
        if any(after <= before for before, after in pairwise(self.scores)):
            raise ValueError("the scores of an isotonic map have to rise")
        if any(after < before for before, after in pairwise(self.values)):
            raise ValueError("the probabilities of an isotonic map may not fall")
        return self

    @property
    def rises(self) -> bool:
        return True

    @property
    def level_between(self) -> tuple[float, float] | None:
        return self.scores[0], self.scores[-1]

    def of_lists(self, lists: ScoredLists) -> FloatArray:
        import numpy as np

        values: FloatArray = np.interp(lists.scores, self.scores, self.values)
        return values

    @classmethod
    def fitted(
        cls, lists: ScoredLists, labels: FloatArray, features: Sequence[str] = ()
    ) -> ScoreMap:
        import numpy as np
        from scipy.optimize import isotonic_regression

        is_known = ~np.isnan(labels)
        scores, place = np.unique(lists.scores[is_known], return_inverse=True)
        counts = np.bincount(place).astype(np.float64)
        means = np.bincount(place, labels[is_known]) / counts
        pooled = np.clip(isotonic_regression(means, weights=counts).x, 0.0, 1.0)
        # inside a level stretch a corner says nothing
        is_corner = np.ones(len(scores), dtype=bool)
        is_corner[1:-1] = (pooled[1:-1] != pooled[:-2]) | (pooled[1:-1] != pooled[2:])
        corners = {
            "scores": scores[is_corner].tolist(),
            "probabilities": pooled[is_corner].tolist(),
        }
        return cls.model_validate(corners)
