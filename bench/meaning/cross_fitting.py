"""Probabilities of queries by maps that were fitted on other queries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.calibration import maps
from bench.calibration.lists import ScoredLists
from bench.core.errors import CalibrationError, DataError
from bench.datasets.folds import folds
from bench.records.judged_scores import JudgedScores
from bench.records.run import Run

if TYPE_CHECKING:
    from bench.calibration.arrays import FloatArray, IntArray

FOLDS = 5


@dataclass(frozen=True)
class Recipe:
    """A kind of map, and what it reads next to the score."""

    kind: str
    features: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        if not self.features:
            return self.kind
        return " + ".join((self.kind, *self.features))


PLATT = Recipe("platt")
RECIPES = (
    PLATT,
    Recipe("platt", maps.FEATURES),
    Recipe("isotonic"),
    Recipe("beta"),
)
"""What is reported next to the scores as they are."""


def lists_of(table: JudgedScores) -> ScoredLists:
    """Return the scores of a row as maps read them."""
    return ScoredLists(table.scores, table.offsets)


def fold_numbers(run: Run, table: JudgedScores, count: int, seed: int) -> IntArray:
    """Return the fold of each query of a row, shape (queries,). Where the run keeps no texts,
    queries are parted by their ids. Raises DataError where there are fewer queries than folds.
    """
    import numpy as np

    queries = run.queries
    queries = queries[queries["dataset"] == table.row.trial.dataset]
    texts = dict(zip(queries["query"].tolist(), queries["text"].tolist(), strict=True))
    own = {query_id: texts.get(query_id, query_id) for query_id in table.query_ids}
    fold_of = folds(own, count, seed)
    return np.array([fold_of[query_id] for query_id in table.query_ids], dtype=np.int64)


def refuse_folds(run: Run, tables: Sequence[JudgedScores], count: int, seed: int) -> None:
    """Raise DataError where no row has as many queries as there are folds; where some have, the
    others have a reason in the place of their maps.
    """
    problem = ""
    for table in tables:
        try:
            fold_numbers(run, table, count, seed)
        except DataError as error:
            problem = problem or f"{table.row.trial.id}: {error}"
        else:
            return
    if problem:
        raise DataError(problem)


def map_of_group(
    recipe: Recipe, lists: ScoredLists, labels: FloatArray, group: str
) -> maps.ScoreMap:
    """Return the map of some queries' lists. Raises CalibrationError, naming their group where they
    are one, where there is no relevant document or no other.
    """
    try:
        return maps.fitted(recipe.kind, lists, labels, recipe.features)
    except CalibrationError as error:
        if not group:
            raise
        raise CalibrationError(f"the queries of '{group}': {error}") from error


def cross_fitted(
    recipe: Recipe,
    lists: ScoredLists,
    labels: FloatArray,
    fold_of: IntArray,
    groups: Sequence[str] | None = None,
) -> FloatArray:
    """Return the probability of each document by the map that was fitted on the queries of the
    other folds, and of the same group where queries have one; shape (documents,).

    Raises CalibrationError where the other folds have no relevant document or no other.
    """
    import numpy as np

    names = np.array(groups or [""] * len(fold_of))
    probabilities = np.empty(len(lists.scores))
    for group in np.unique(names):
        for fold in np.unique(fold_of[names == group]):
            is_own = (names == group) & (fold_of == fold)
            is_other = (names == group) & (fold_of != fold)
            others, is_theirs = lists.part(is_other)
            own_map = map_of_group(recipe, others, labels[is_theirs], str(group))
            own, is_ours = lists.part(is_own)
            probabilities[is_ours] = own_map.of_lists(own)
    return probabilities
