"""What a person would have said of the pairs that nobody reviewed, drawn many times: multiple
imputation (Rubin 1987) by a model of the judge's errors.

A judge's errors alone attenuate differences between rows, and so does a confusion table that is
used as it is: that a document is ranked high, and by which row, says something of its grade that
the table does not hold. Here the chance of a person's grade given the model's goes by Bayes' rule:
the chance of the model's grade given the person's, estimated from the reviewed pairs, times the
chance of the person's grade given the ranks of the document and its query's mean grade. The latter
is a softmax regression over all judged pairs, fitted by EM with the lower-bound steps of Bohning
(1992, Annals of the Institute of Statistical Mathematics 44). Each draw has confusions of its own
(Dirichlet) and queries weighted anew (Bayesian bootstrap).

It is assumed that what the judge gets wrong depends on the true grade, and not on the row that
ranked the document: a judge of a row's own family breaks that. Prediction-powered intervals
(Oosterhuis et al. 2024, arXiv:2407.02464) need no such assumption, and whole queries that a person
judged.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]
    IntArray = NDArray[np.int64]

PRIOR = 1.2
"""Pairs that the prior of a stratum counts: errors that no reviewed pair shows are rare, and not
impossible.
"""
DECAY = 0.5
"""How much less likely, before any review, an error of one grade more is."""
RIDGE = 0.05
FIRST_STEPS, STEPS = 600, 50
TOP = 10
BEYOND = 30.0
"""A rank from which on it says nothing more."""


@dataclass(frozen=True)
class Reviewed:
    """Judged pairs by the place of their grades in the scale. `model` and `query` are of all pairs,
    shape (pairs,); `ranks` is (pairs, rows), a rank beyond the top for documents below it. `places`
    are the reviewed pairs, and `person` their grades.
    """

    size: int
    model: IntArray
    query: IntArray
    queries: int
    ranks: FloatArray
    places: IntArray
    person: IntArray


def imputed(pairs: Reviewed, draws: int, seed: int) -> IntArray:
    """Return grades of all pairs as a person may have given them, shape (draws, pairs); those of
    reviewed pairs as the person gave them.
    """
    import numpy as np

    generator = np.random.default_rng(seed)
    counts = np.zeros((pairs.size, pairs.size))
    np.add.at(counts, (pairs.model[pairs.places], pairs.person), 1)
    counts += _prior(pairs.size)
    shares = np.bincount(pairs.model, minlength=pairs.size) / len(pairs.model)
    regression = _Regression(pairs)
    confusion, chances = _by_person(counts / counts.sum(axis=1, keepdims=True), shares)
    start = regression.begin(chances)
    start = regression.fitted(start, confusion, FIRST_STEPS, np.ones(len(pairs.model)))
    grades = np.empty((draws, len(pairs.model)), dtype=np.int64)
    for draw in range(draws):
        rows = np.stack([generator.dirichlet(row) for row in counts])
        confusion, _ = _by_person(rows, shares)
        weights = generator.exponential(size=pairs.queries)[pairs.query]
        fitted = regression.fitted(start, confusion, STEPS, weights)
        grades[draw] = _drawn(regression.chances(fitted, confusion), generator)
        grades[draw, pairs.places] = pairs.person
    return grades


def _prior(size: int) -> FloatArray:
    """Return the pairs that the prior counts, by the model's grade and the person's."""
    import numpy as np

    places = np.arange(size)
    closeness = DECAY ** np.abs(places[:, None] - places[None, :])
    prior: FloatArray = PRIOR * closeness / closeness.sum(axis=1, keepdims=True)
    return prior


def _by_person(rows: FloatArray, shares: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the chance of the model's grade given the person's, shape (person, model), and the
    chance of each of the person's grades; `rows` are those of the person's given the model's.
    """
    import numpy as np

    joint = shares[:, None] * rows
    chances = joint.sum(axis=0)
    return (joint / np.maximum(chances, 1e-12)).T, chances


def _drawn(chances: FloatArray, generator: np.random.Generator) -> IntArray:
    """Return a grade of each pair, shape (pairs,), by its chances, shape (pairs, grades)."""
    levels = chances.cumsum(axis=1)
    levels[:, -1] = 1.0
    drawn: IntArray = (levels < generator.random(len(levels))[:, None]).sum(axis=1)
    return drawn


class _Regression:
    """The chance of a person's grade by what is known of a pair next to the model's grade."""

    def __init__(self, pairs: Reviewed) -> None:
        import numpy as np

        self._pairs = pairs
        self._inputs = _inputs(pairs)
        width = self._inputs.shape[1]
        curvature = self._inputs.T @ self._inputs + 2 * RIDGE * np.eye(width)
        self._step = 2 * np.linalg.inv(curvature)
        self._known = np.eye(pairs.size)[pairs.person]

    def begin(self, chances: FloatArray) -> FloatArray:
        """Return coefficients that give every pair the same chances, shape (inputs, grades)."""
        import numpy as np

        coefficients = np.zeros((self._inputs.shape[1], self._pairs.size))
        coefficients[0] = np.log(np.maximum(chances, 1e-3))
        return coefficients

    def fitted(
        self, coefficients: FloatArray, confusion: FloatArray, steps: int, weights: FloatArray
    ) -> FloatArray:
        """Return coefficients after this number of steps of EM, pairs weighted."""
        likelihood = confusion[:, self._pairs.model].T
        for _ in range(steps):
            prior = _softmax(self._inputs @ coefficients)
            posterior = _normalised(prior * likelihood)
            posterior[self._pairs.places] = self._known
            surplus = (posterior - prior) * weights[:, None]
            gradient = self._inputs.T @ surplus - RIDGE * coefficients
            coefficients = coefficients + self._step @ gradient
            coefficients -= coefficients.mean(axis=1, keepdims=True)
        return coefficients

    def chances(self, coefficients: FloatArray, confusion: FloatArray) -> FloatArray:
        """Return the chance of each grade given all that is known of a pair."""
        prior = _softmax(self._inputs @ coefficients)
        return _normalised(prior * confusion[:, self._pairs.model].T)


def _inputs(pairs: Reviewed) -> FloatArray:
    """Return what the regression reads of each pair: the mean grade of its query, and by row its
    rank, its discount and whether it is in the top. Shape (pairs, inputs).
    """
    import numpy as np

    counts = np.bincount(pairs.query, minlength=pairs.queries)
    sums = np.bincount(pairs.query, pairs.model, minlength=pairs.queries)
    means = sums / np.maximum(counts, 1)
    columns = [np.ones(len(pairs.model)), (means - means.mean())[pairs.query]]
    for ranks in pairs.ranks.T:
        in_top = ranks <= TOP
        discount = np.where(in_top, 1 / np.log2(1 + ranks), 0.0)
        columns += [discount, in_top.astype(np.float64), np.log1p(np.minimum(ranks, BEYOND)) - 2]
    return np.stack(columns, axis=1)


def _softmax(values: FloatArray) -> FloatArray:
    import numpy as np

    return _normalised(np.exp(values - values.max(axis=1, keepdims=True)))


def _normalised(values: FloatArray) -> FloatArray:
    import numpy as np

    shares: FloatArray = values / np.maximum(values.sum(axis=1, keepdims=True), 1e-300)
    return shares
