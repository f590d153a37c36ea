"""Measures of scores: what a row's scores are worth as probabilities, over all judged pairs
together. They rank nothing, and no query has a value of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

Better = Literal["lower", "higher"]


@dataclass(frozen=True)
class ScoreMeasure:
    """A measure by its name in suites and gates. `needs_probabilities` says whether it is of
    numbers from 0 to 1 alone.
    """

    name: str
    meaning: str
    better: Better
    needs_probabilities: bool
    least_queries: int
    """Queries below which the bounds of a difference are too narrow (simulated: docs/ci.md)."""

    def loss(self, difference: float) -> float:
        """Return by how much something is worse whose value differs by this much."""
        return difference if self.better == "lower" else -difference


SCORE_MEASURES: Mapping[str, ScoreMeasure] = {
    measure.name: measure
    for measure in (
        ScoreMeasure(
            "ECE",
            "expected calibration error: how far probabilities are from the shares of relevant "
            "documents, over ten bins of equal mass",
            "lower",
            needs_probabilities=True,
            least_queries=100,
        ),
        ScoreMeasure(
            "Brier",
            "mean squared difference of probability and label",
            "lower",
            needs_probabilities=True,
            least_queries=30,
        ),
        ScoreMeasure(
            "AUC",
            "chance that a relevant document scores above another of any query",
            "higher",
            needs_probabilities=False,
            least_queries=30,
        ),
    )
}


def is_of_scores(name: str) -> bool:
    """Return whether a measure is one of scores."""
    return name in SCORE_MEASURES


def of_rankings(names: Iterable[str]) -> tuple[str, ...]:
    """Return the measures that rank."""
    return tuple(name for name in names if not is_of_scores(name))


def of_scores(names: Iterable[str]) -> tuple[ScoreMeasure, ...]:
    """Return the measures of scores."""
    return tuple(SCORE_MEASURES[name] for name in names if is_of_scores(name))
