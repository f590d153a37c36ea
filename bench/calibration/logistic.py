"""Logistic regression on a few columns, without a penalty, by L-BFGS."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bench.core.errors import CalibrationError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from bench.calibration.arrays import FloatArray

    Matrix = NDArray[np.float64]

TOO_LARGE = "the scores are too large to be mapped: their spread is no finite number"


def smoothed_targets(labels: FloatArray) -> FloatArray:
    """Return the targets that Platt fits in the place of 1 and 0: (n1 + 1) / (n1 + 2) for the n1
    relevant documents, 1 / (n0 + 2) for the n0 others. So a map of labels that the scores part
    without a mistake stays finite.
    """
    import numpy as np

    relevant = float(labels.sum())
    others = len(labels) - relevant
    targets: FloatArray = np.where(
        labels > 0, (relevant + 1.0) / (relevant + 2.0), 1.0 / (others + 2.0)
    )
    return targets


def fitted_weights(
    columns: Matrix, targets: FloatArray, lowest: Sequence[float] | None = None
) -> FloatArray:
    """Return the weights of the columns, and the intercept last, that minimise the log loss.

    `columns` have the shape (documents, columns), `targets` lie from 0 to 1; `lowest` are bounds
    below which no weight of a column falls. Raises CalibrationError for columns whose squares are
    no finite numbers.
    """
    import numpy as np
    from scipy.optimize import minimize

    centres = columns.mean(axis=0)
    spreads = columns.std(axis=0)
    if not np.isfinite(spreads).all():
        raise CalibrationError(TOO_LARGE)
    spreads[spreads == 0] = 1.0
    inputs = np.column_stack([(columns - centres) / spreads, np.ones(len(columns))])

    def loss(weights: FloatArray) -> tuple[float, FloatArray]:
        values = inputs @ weights
        total = float(np.mean(np.logaddexp(0.0, values) - targets * values))
        slopes = logistic(values) - targets
        return total, inputs.T @ slopes / len(targets)

    bounds = None
    if lowest is not None:
        bounds = [*((bound, None) for bound in lowest), (None, None)]
    share = float(np.clip(targets.mean(), 1e-12, 1 - 1e-12))
    start = np.zeros(inputs.shape[1])
    start[-1] = np.log(share / (1 - share))
    answer = minimize(
        loss,
        start,
        jac=True,
        method="L-BFGS-B",
        bounds=bounds,
        options={"maxiter": 1000, "ftol": 1e-15, "gtol": 1e-9},
    )
    weights = np.asarray(answer.x, dtype=np.float64)
    slopes = weights[:-1] / spreads
    own: FloatArray = np.append(slopes, weights[-1] - float(slopes @ centres))
    return own


def logistic(values: FloatArray) -> FloatArray:
    """Return 1 / (1 + exp(-value)), without an overflow."""
    from scipy.special import expit

    answer: FloatArray = expit(values)
    return answer
