"""A linear model: pairwise logistic regression on features standardised within each query.

Of each query, every pair of documents of different grades is an example: the better one shall score
higher (RankNet's loss, Burges et al., ICML 2005, on a linear model; Herbrich et al. 2000 for the
differences). Every query counts alike, whatever its number of pairs. Fitted by L-BFGS with an L2
penalty, from weights of 0: nothing is drawn but the pairs of a query that has very many.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from bench.core.digest import digest_of
from bench.core.errors import RerankerError
from bench.core.json_file import json_value
from bench.learning.matrix import standardised
from bench.learning.models.base import NOTHING_TO_LEARN, Lesson, Model, Trainer

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from bench.learning.values import Matrix, Scores

PAIRS = 1000
"""Pairs of one query that are looked at; of more, a seeded sample."""
SAME = 1e-6
"""Standardised values that differ by less are of one feature."""
FORMAT = "rerank-bench linear"


class LinearModel(Model):
    """Weights over features that are standardised within the query."""

    kind: ClassVar[str] = "linear"

    def __init__(self, features: Sequence[str], weights: NDArray[np.float64]) -> None:
        super().__init__(features)
        self._weights = weights

    def scores(self, matrix: Matrix) -> Scores:
        import numpy as np

        # feature by feature: a product of matrices ends in other bits where their shape is another
        scores = np.zeros(len(matrix), dtype=np.float64)
        values = standardised(matrix)
        for column, weight in enumerate(self._weights.tolist()):
            scores += weight * values[:, column]
        return scores

    def weights(self) -> Mapping[str, float]:
        return dict(zip(self.features, self._weights.tolist(), strict=True))

    def to_text(self) -> str:
        fields = {
            "format": FORMAT,
            "scale": "standardised within the query",
            "features": list(self.features),
            "weights": self._weights.tolist(),
        }
        return json.dumps(fields, indent=1)


class LinearTrainer(Trainer):
    """Fits by scipy's L-BFGS."""

    def useful(self, matrices: Sequence[Matrix]) -> list[int]:
        """Return the columns that differ within some query, of several that are the same once they
        are standardised the first: a score, its z-score and its distance from the best are one.
        """
        import numpy as np

        values = np.vstack([standardised(matrix) for matrix in matrices])
        columns: list[int] = []
        for column in range(values.shape[1]):
            own = values[:, [column]]
            is_same = np.abs(values[:, columns] - own).max(axis=0, initial=0.0) < SAME
            if np.abs(own).max(initial=0.0) > 0 and not is_same.any():
                columns.append(column)
        return columns

    def fitted(self, features: Sequence[str], lessons: Sequence[Lesson]) -> Model:
        import numpy as np
        from scipy.optimize import minimize

        differences, shares, queries = self._pairs(lessons)
        penalty = self.options.l2 / queries

        def loss(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
            margins = differences @ weights
            value = float(shares @ np.logaddexp(0.0, -margins))
            value += 0.5 * penalty * float(weights @ weights)
            slopes = -shares / (1.0 + np.exp(np.clip(margins, -500, 500)))
            return value, slopes @ differences + penalty * weights

        answer = minimize(
            loss,
            np.zeros(len(features)),
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": 1000, "ftol": 1e-12, "gtol": 1e-8},
        )
        return LinearModel(features, np.asarray(answer.x, dtype=np.float64))

    def read(self, text: str) -> Model:
        """Return a model from its JSON. Raises RerankerError for what is no such model."""
        import numpy as np

        try:
            fields = json_value(text)
            if fields["format"] != FORMAT:
                raise ValueError(f"its format is {fields['format']!r}")
            features = [str(name) for name in fields["features"]]
            weights = np.array(fields["weights"], dtype=np.float64)
        except (ValueError, KeyError, TypeError, OverflowError) as error:
            raise RerankerError(f"not a linear model of this project: {error}") from error
        if weights.shape != (len(features),) or not np.isfinite(weights).all():
            raise RerankerError("not a linear model: it needs one finite weight per feature")
        return LinearModel(features, weights)

    def _pairs(self, lessons: Sequence[Lesson]) -> tuple[Matrix, Scores, int]:
        """Return the differences of the pairs, better less worse, shape (pairs, features), what
        each counts, those of a query adding up to its share, and the number of queries.
        """
        import numpy as np

        differences: list[Matrix] = []
        counts: list[int] = []
        for lesson in lessons:
            better, worse = self._sampled(lesson)
            if len(better):
                values = standardised(lesson.matrix)
                differences.append(values[better] - values[worse])
                counts.append(len(better))
        if not counts:
            raise RerankerError(NOTHING_TO_LEARN)
        shares = np.repeat([1.0 / (count * len(counts)) for count in counts], counts)
        return np.vstack(differences), shares, len(counts)

    def _sampled(self, lesson: Lesson) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Return the places of the better and of the worse document of each pair."""
        import numpy as np

        better, worse = np.nonzero(lesson.grades[:, None] > lesson.grades[None, :])
        if len(better) > PAIRS:
            seed = int(digest_of([self.options.seed, lesson.query_id])[:12], 16)
            drawn = np.random.default_rng(seed).choice(len(better), PAIRS, replace=False)
            drawn.sort()
            better, worse = better[drawn], worse[drawn]
        return better, worse
