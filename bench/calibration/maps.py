"""Maps from the scores of a query's list to probabilities of relevance, by kind: a file each."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from pydantic import ValidationError

from bench.calibration.lists import ScoredLists
from bench.calibration.logistic import TOO_LARGE
from bench.core.errors import CalibrationError, nearest
from bench.core.options import Options
from bench.core.plugins import resolve

if TYPE_CHECKING:
    from bench.calibration.arrays import FloatArray

TABLE: dict[str, str] = {
    "platt": "bench.calibration.platt:Platt",
    "isotonic": "bench.calibration.isotonic:Isotonic",
    "beta": "bench.calibration.beta:Beta",
}
FEATURES = ("z", "gap")
"""What a map may read next to the score: its z-score within the list, and its lead over the next
lower score.
"""


class ScoreMap(Options, ABC):
    """Turns the scores of one query's list into probabilities of relevance. Its fields are its
    parameters, plain numbers.
    """

    kind: ClassVar[str]
    reads_features: ClassVar[bool] = False
    """Whether it can be fitted with FEATURES."""

    @property
    def needs_list(self) -> bool:
        """Whether a probability depends on the other scores of the query's list."""
        return False

    @property
    @abstractmethod
    def rises(self) -> bool:
        """Whether a higher score never has a lower probability, so that the order stays as it
        is.
        """

    @property
    def level_between(self) -> tuple[float, float] | None:
        """The scores between which stretches of the map may be level, so that the order is lost
        there; None where a higher score has a higher probability.
        """
        return None

    def probabilities(self, scores: FloatArray) -> FloatArray:
        """Return the probabilities of one query's list, in its order, shape (documents,)."""
        return self.of_lists(ScoredLists.single(scores))

    @abstractmethod
    def of_lists(self, lists: ScoredLists) -> FloatArray:
        """Return the probabilities of several lists, end to end."""

    @classmethod
    @abstractmethod
    def fitted(
        cls, lists: ScoredLists, labels: FloatArray, features: Sequence[str] = ()
    ) -> ScoreMap:
        """Return the map fitted to labels: 1 relevant, 0 not, NaN for documents that only have a
        place in their list.
        """


def kind_of(name: str) -> type[ScoreMap]:
    """Return a kind of maps. Raises CalibrationError for a name that is unknown."""
    if name not in TABLE:
        raise CalibrationError(f"there is no map '{name}': {nearest(name, TABLE)}")
    kind: type[ScoreMap] = resolve(name, TABLE, "map")
    return kind


def fitted(
    kind: str, lists: ScoredLists, labels: FloatArray, features: Sequence[str] = ()
) -> ScoreMap:
    """Return a map of a kind, fitted to the labels of scored lists, shape (documents,).

    Raises CalibrationError where no document, or each one, is relevant, for features that the kind
    does not read, and for scores whose squares are no finite numbers.
    """
    import numpy as np

    own = kind_of(kind)
    for name in features:
        if name not in FEATURES:
            raise CalibrationError(f"there is no feature '{name}': {nearest(name, FEATURES)}")
    if features and not own.reads_features:
        raise CalibrationError(f"{kind} reads the score alone, not its place: take platt for that")
    known = labels[~np.isnan(labels)]
    if not 0 < known.sum() < len(known):
        raise CalibrationError(
            f"a map needs relevant documents and others: of {len(known)} judged ones "
            f"{int(known.sum())} are relevant"
        )
    with np.errstate(over="ignore", invalid="ignore"):
        try:
            return own.fitted(lists, labels, features)
        except ValidationError as error:
            raise CalibrationError(TOO_LARGE) from error
