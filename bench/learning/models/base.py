"""What every model of a learned stage has: scores, names of features, weights, a file."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bench.learning.options import LtrOptions

if TYPE_CHECKING:
    from bench.learning.values import Matrix, Scores


@dataclass(frozen=True)
class Lesson:
    """One query to learn from: its features, shape (documents, features), and grades."""

    query_id: str
    matrix: Matrix
    grades: Scores


NOTHING_TO_LEARN = (
    "ltr: no query to train on has both a better and a worse candidate: there is nothing to learn"
)


class Model(ABC):
    """A model that was fitted or loaded. `features` are the columns that it reads, in order."""

    kind: ClassVar[str]
    ending: ClassVar[str] = ".json"
    """How the name of its file ends."""

    def __init__(self, features: Sequence[str]) -> None:
        self.features = tuple(features)

    @abstractmethod
    def scores(self, matrix: Matrix) -> Scores:
        """Return a score per document of one query."""

    def scores_of_many(self, matrices: Sequence[Matrix]) -> list[Scores]:
        """Return the scores of several queries."""
        return [self.scores(matrix) for matrix in matrices]

    @abstractmethod
    def weights(self) -> Mapping[str, float]:
        """Return how much each feature counts: a weight over standardised values, or a gain."""

    @abstractmethod
    def to_text(self) -> str:
        """Return the model as text; reading it gives the same scores to the last bit."""


class Trainer(ABC):
    """Fits models of one kind with the settings of a stage."""

    def __init__(self, options: LtrOptions) -> None:
        self.options = options

    def useful(self, matrices: Sequence[Matrix]) -> list[int]:
        """Return which columns say something to such a model, whatever the judgments are."""
        return list(range(matrices[0].shape[1])) if matrices else []

    @abstractmethod
    def fitted(self, features: Sequence[str], lessons: Sequence[Lesson]) -> Model:
        """Return a model of these queries, whatever their order was made of: the same lessons in
        the same order give the same model. Raises RerankerError where there is nothing to learn.
        """

    @abstractmethod
    def read(self, text: str) -> Model:
        """Return the model that `to_text` wrote."""
