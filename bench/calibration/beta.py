"""The curve that two beta distributions of scores give (Kull, Silva Filho & Flach, AISTATS 2017):
logistic in ln p and -ln (1 - p), with weights that do not fall below 0.

It maps numbers from 0 to 1. Scores of another range go through a logistic curve around their mean
first; its centre and scale are parameters. Three lines apply it:

    p = 1 / (1 + np.exp(-(scores - centre) / scale))  # only where the map has a centre
    p = np.clip(p, 1e-6, 1 - 1e-6)
    probabilities = 1 / (1 + np.exp(-(a * np.log(p) - b * np.log(1 - p) + c)))
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field, model_validator

from bench.calibration.lists import ScoredLists
from bench.calibration.logistic import fitted_weights, logistic, smoothed_targets
from bench.calibration.maps import ScoreMap

if TYPE_CHECKING:
    from bench.calibration.arrays import FloatArray

EDGE = 1e-6
"""How close to 0 and 1 a number may come before its logarithm is taken."""
Slope = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Number = Annotated[float, Field(allow_inf_nan=False)]


class Beta(ScoreMap):
    """The three parameters of the curve; `centre` and `scale` are None where scores lie from 0 to
    1.
    """

    kind: ClassVar[str] = "beta"

    a: Slope
    b: Slope
    c: Number
    centre: Number | None = None
    scale: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None

    @model_validator(mode="after")
    def _both(self) -> Beta:
        if (self.centre is None) != (self.scale is None):
            raise ValueError("a beta map has a centre and a scale, or neither")
        return self

    @property
    def rises(self) -> bool:
        return True

    def of_lists(self, lists: ScoredLists) -> FloatArray:
        import numpy as np

        rising, falling = _logarithms(lists.scores, self.centre, self.scale)
        values = np.asarray(self.a * rising + self.b * falling + self.c, dtype=np.float64)
        return logistic(values)

    @classmethod
    def fitted(
        cls, lists: ScoredLists, labels: FloatArray, features: Sequence[str] = ()
    ) -> ScoreMap:
        import numpy as np

        is_known = ~np.isnan(labels)
        scores = lists.scores[is_known]
        centre: float | None = None
        scale: float | None = None
        if lists.scores.min() < 0 or lists.scores.max() > 1:
            centre = float(scores.mean())
            scale = float(scores.std()) or 1.0
        columns = np.column_stack(_logarithms(scores, centre, scale))
        targets = smoothed_targets(labels[is_known])
        a, b, c = fitted_weights(columns, targets, lowest=(0.0, 0.0)).tolist()
        return cls(a=max(a, 0.0), b=max(b, 0.0), c=c, centre=centre, scale=scale)


def _logarithms(
    scores: FloatArray, centre: float | None, scale: float | None
) -> tuple[FloatArray, FloatArray]:
    """Return ln p and -ln (1 - p) of scores, or of the logistic curve over them."""
    import numpy as np

    shares = scores
    if centre is not None and scale is not None:
        shares = logistic((scores - centre) / scale)
    shares = np.clip(shares, EDGE, 1 - EDGE)
    return np.log(shares), -np.log1p(-shares)
