"""LambdaMART by LightGBM (Ke et al., NIPS 2017; Burges 2010), in the extra [ltr]. One thread,
seeded and deterministic: the same queries give the same trees. Its text reloads bit for bit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from bench.core.errors import RerankerError
from bench.learning.models.base import NOTHING_TO_LEARN, Lesson, Model, Trainer
from bench.learning.models.needs import LIGHTGBM

if TYPE_CHECKING:
    from bench.learning.values import Matrix, Scores

LARGEST_GRADE = 30
"""LightGBM's gains are 2**grade - 1, and its table ends here."""


class LightGBMModel(Model):
    """A LightGBM booster."""

    kind: ClassVar[str] = "lightgbm"
    ending: ClassVar[str] = ".txt"

    def __init__(self, booster: Any, text: str) -> None:
        super().__init__(booster.feature_name())
        self._booster = booster
        self._text = text

    def scores(self, matrix: Matrix) -> Scores:
        import numpy as np

        return np.asarray(self._booster.predict(matrix, num_threads=1), dtype=np.float64)

    def scores_of_many(self, matrices: Sequence[Matrix]) -> list[Scores]:
        import numpy as np

        if not matrices:
            return []
        ends = np.cumsum([len(matrix) for matrix in matrices])[:-1]
        return np.split(self.scores(np.vstack(matrices)), ends)

    def weights(self) -> Mapping[str, float]:
        gains = self._booster.feature_importance(importance_type="gain")
        return dict(zip(self.features, map(float, gains), strict=True))

    def to_text(self) -> str:
        return self._text


class LightGBMTrainer(Trainer):
    """Fits LambdaMART. Grades are ranks of the grades that there are: 100 and 10 become 2 and 1."""

    def fitted(self, features: Sequence[str], lessons: Sequence[Lesson]) -> Model:
        import lightgbm
        import numpy as np

        useful = [lesson for lesson in lessons if len(set(lesson.grades.tolist())) > 1]
        if not useful:
            raise RerankerError(NOTHING_TO_LEARN)
        options = self.options
        data = lightgbm.Dataset(
            np.vstack([lesson.matrix for lesson in useful]),
            label=_labels(useful),
            group=[len(lesson.grades) for lesson in useful],
            feature_name=list(features),
            free_raw_data=False,
        )
        parameters = {
            "objective": "lambdarank",
            "num_leaves": options.leaves,
            "learning_rate": options.learning_rate,
            "min_data_in_leaf": 20,
            "lambdarank_truncation_level": 20,
            "seed": options.seed,
            "deterministic": True,
            "force_row_wise": True,
            "num_threads": 1,
            "verbosity": -1,
        }
        booster = lightgbm.train(parameters, data, num_boost_round=options.trees)
        return self.read(booster.model_to_string())

    def read(self, text: str) -> Model:
        """Return a booster from LightGBM's text. Raises RerankerError for what is none."""
        LIGHTGBM.require()
        import lightgbm

        try:
            booster = lightgbm.Booster(model_str=text)
        except lightgbm.basic.LightGBMError as error:
            raise RerankerError(f"not a LightGBM model: {error}") from error
        return LightGBMModel(booster, text)


def _labels(lessons: Sequence[Lesson]) -> Scores:
    """Return whole grades from 0 in the order of the grades that there are."""
    import numpy as np

    grades = np.concatenate([lesson.grades for lesson in lessons])
    levels, labels = np.unique(grades, return_inverse=True)
    if len(levels) > LARGEST_GRADE:
        raise RerankerError(f"ltr: lightgbm takes {LARGEST_GRADE} different grades, at most")
    return labels.astype(np.float64)
