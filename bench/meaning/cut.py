"""A threshold of a row's scores with a guarantee over queries, what it keeps, and how it does on
other queries, another collection or another run.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from bench.calibration.cuts import Goal, precision_losses, recall_losses, steps_of
from bench.calibration.file import ErrorInterval
from bench.calibration.lists import ScoredLists
from bench.core.errors import CalibrationError, DataError
from bench.meaning.calibrate import (
    Unjudged,
    default_reading,
    labels_of,
    refuse_ranks,
    tables_of,
)
from bench.meaning.cross_fitting import FOLDS, fold_numbers, lists_of
from bench.meaning.resampling import Resampling, interval
from bench.records.judged_scores import JudgedScores
from bench.records.run import Run

if TYPE_CHECKING:
    from bench.calibration.arrays import BoolArray, FloatArray


@dataclass(frozen=True)
class Effect:
    """What a threshold keeps of a row's documents. Values are means with their intervals over
    queries.

    `recall` is of relevant candidates, over queries that have any; `precision` of judged documents
    that are kept, all queries together; `query_precision` the mean over queries, 1 where nothing is
    kept. `empty` is the share of queries of which nothing is kept, `tokens` the mean number that
    the reranker counted for the documents kept, None where it counts none.
    """

    queries: int
    recall: ErrorInterval
    precision: ErrorInterval
    query_precision: ErrorInterval
    documents: ErrorInterval
    of_documents: float
    empty: ErrorInterval
    tokens: float | None = None
    of_tokens: float | None = None


@dataclass(frozen=True)
class Carried:
    """A threshold on other scores of the same reranker. `same_identity` says whether what decides
    its scores is the same.
    """

    table: JudgedScores
    run_id: str
    unjudged: Unjudged
    effect: Effect
    same_identity: bool


@dataclass(frozen=True)
class Cut:
    """A threshold and what holds of it.

    `queries` are those that it was chosen on; `low` and `high` is where it lies in 95 % of the
    resamples of these. `here` is of the queries that chose it, and flatters it; `elsewhere` of each
    query by the threshold that the other folds chose.
    """

    table: JudgedScores
    unjudged: Unjudged
    goal: Goal
    level: float
    threshold: float
    low: float
    high: float
    queries: int
    here: Effect
    elsewhere: Effect
    carried: Sequence[Carried] = ()

    @property
    def enough(self) -> int:
        """The queries from which a threshold can keep its promise without keeping everything, or
        nothing.
        """
        return math.ceil(round(1 / (1 - self.level) - 1, 9))


def cut(
    run: Run,
    table: JudgedScores,
    goal: Goal,
    level: float,
    others: Sequence[tuple[Run, JudgedScores]] = (),
    folds: int = FOLDS,
    seed: int | None = None,
) -> Cut:
    """Return the threshold that keeps recall or precision at a level, and what it does to other
    scores.

    Raises CalibrationError where the scores are ranks or no query has a relevant candidate,
    DataError where there are fewer queries than folds.
    """
    refuse_ranks(table)
    if seed is None:
        seed = run.seed
    unjudged = default_reading(table)
    labels = labels_of(table, unjudged)
    lists = lists_of(table)
    if not (labels == 1).any():
        raise CalibrationError(
            f"{table.row.trial.id}: no candidate is relevant: a cut has nothing to keep"
        )
    steps = steps_of(goal, lists, labels)
    threshold = steps.threshold(level)
    resampling = Resampling(len(table.query_ids), seed)
    low, high = _between(steps.resampled(level, resampling.counts))
    by_fold = _cross_fitted(run, table, labels, goal, level, folds, seed)
    carried = [_carried(run, table, other, their, threshold, seed) for other, their in others]
    return Cut(
        table,
        unjudged,
        goal,
        level,
        threshold,
        low,
        high,
        len(steps.queries),
        _effect(table, labels, lists.scores >= threshold, resampling),
        _effect(table, labels, by_fold, resampling),
        carried,
    )


class Promise(NamedTuple):
    """What a cut keeps, and how much of it."""

    goal: Goal
    level: float


def promise(recall: float | None, precision: float | None) -> Promise:
    """Return what a cut keeps. Raises CalibrationError unless it is one of them, and a share
    between 0 and 1.
    """
    if (recall is None) == (precision is None):
        raise CalibrationError("give keep_recall or keep_precision: each is a threshold of its own")
    goal: Goal = "precision" if recall is None else "recall"
    level = precision if recall is None else recall
    if level is None or not 0 < level < 1:
        raise CalibrationError(f"keep_{goal}: {level} is not a share between 0 and 1")
    return Promise(goal, level)


def cuts(
    run: Run,
    tables: Sequence[JudgedScores],
    own_promise: Promise,
    others: Sequence[tuple[Run, JudgedScores]] = (),
    folds: int = FOLDS,
    seed: int | None = None,
) -> list[Cut]:
    """Return the cut of each row. Raises as `cut` does."""
    return [cut(run, own, *own_promise, others, folds, seed) for own in tables]


def others_on(
    run: Run,
    tables: Sequence[JudgedScores],
    on: Run | Path | str | None,
    opened: Callable[[Run | Path | str], Run],
) -> list[tuple[Run, JudgedScores]]:
    """Return the scores of the same reranker that a threshold is tried on: on another dataset of
    its run, by name, or in another run, which `opened` returns; none where `on` is None.

    Raises CalibrationError where there are several rows, RecordError where `on` has none.
    """
    if on is None:
        return []
    refuse_several(tables, "--on")
    name = tables[0].row.trial.reranker
    if any(on == row.trial.dataset for row in run.rows):
        return [(run, own) for own in tables_of(run, name, dataset=str(on))]
    other = opened(on)
    return [(other, own) for own in tables_of(other, name)]


def refuse_several(tables: Sequence[JudgedScores], option: str) -> None:
    """Raise CalibrationError where an option that is of one row would be of several."""
    if len(tables) > 1:
        trials = ", ".join(table.row.trial.id for table in tables)
        raise CalibrationError(
            f"{option} is of one row: name a reranker, and --dataset or --first-stage, or one of "
            f"the trials {trials}"
        )


def _between(thresholds: FloatArray) -> tuple[float, float]:
    """Return the percentile interval of thresholds, infinite ones among them."""
    import numpy as np

    ordered = np.sort(thresholds)
    last = len(ordered) - 1
    return float(ordered[round(0.025 * last)]), float(ordered[round(0.975 * last)])


def _cross_fitted(
    run: Run,
    table: JudgedScores,
    labels: FloatArray,
    goal: Goal,
    level: float,
    folds: int,
    seed: int,
) -> BoolArray:
    """Return which documents are kept, each query's by the threshold of the other folds."""
    import numpy as np

    lists = lists_of(table)
    try:
        fold_of = fold_numbers(run, table, folds, seed)
    except DataError as error:
        raise DataError(f"{table.row.trial.id}: {error}") from error
    is_kept = np.zeros(len(lists.scores), dtype=bool)
    for fold in range(folds):
        others, is_theirs = lists.part(fold_of != fold)
        threshold = steps_of(goal, others, labels[is_theirs]).threshold(level)
        is_own = fold_of[lists.owners] == fold
        is_kept[is_own] = lists.scores[is_own] >= threshold
    return is_kept


def _carried(
    run: Run, table: JudgedScores, other: Run, their: JudgedScores, threshold: float, seed: int
) -> Carried:
    unjudged = default_reading(their)
    identity = run.records[table.row.trial.id].system.hash
    return Carried(
        their,
        other.info.id,
        unjudged,
        _effect(
            their,
            labels_of(their, unjudged),
            their.scores >= threshold,
            Resampling(len(their.query_ids), seed),
        ),
        identity == other.records[their.row.trial.id].system.hash,
    )


def _effect(
    table: JudgedScores, labels: FloatArray, is_kept: BoolArray, resampling: Resampling
) -> Effect:
    import numpy as np

    lists = lists_of(table)
    sizes = np.diff(lists.offsets).astype(np.float64)
    owners = lists.owners
    documents = np.bincount(owners[is_kept], minlength=len(sizes)).astype(np.float64)
    ones = np.ones(len(sizes))
    recalls = 1 - recall_losses(lists, labels, is_kept)
    precisions = 1 - precision_losses(lists, labels, is_kept)
    mean_documents = float(documents.mean())
    mean_size = float(sizes.mean())
    of_tokens = _tokens(table)
    tokens = None
    if of_tokens is not None:
        tokens = of_tokens * mean_documents / mean_size
    return Effect(
        len(sizes),
        _mean(recalls, resampling),
        _pooled(lists, labels, is_kept, resampling),
        _mean(precisions, resampling),
        _ratio(documents, ones, resampling),
        mean_size,
        _ratio((documents == 0).astype(np.float64), ones, resampling),
        tokens,
        of_tokens,
    )


def _tokens(table: JudgedScores) -> float | None:
    """Return the mean tokens of a query's candidates, as the reranker counted them; None where it
    counts none.
    """
    tokens = table.row.usage.get("tokens") or 0.0
    pairs = table.row.usage.get("pairs") or 0.0
    if not tokens or not pairs or not table.query_ids:
        return None
    return tokens / pairs * len(table.scores) / len(table.query_ids)


def _mean(values: FloatArray, resampling: Resampling) -> ErrorInterval:
    """Return the mean over the queries that have a value."""
    import numpy as np

    is_there = ~np.isnan(values)
    return _ratio(np.where(is_there, values, 0.0), is_there.astype(np.float64), resampling)


def _pooled(
    lists: ScoredLists, labels: FloatArray, is_kept: BoolArray, resampling: Resampling
) -> ErrorInterval:
    """Return the share of relevant documents among all judged ones that are effect."""
    import numpy as np

    counts = is_kept & ~np.isnan(labels)
    owners = lists.owners[counts]
    queries = len(lists.offsets) - 1
    relevant = np.bincount(owners, labels[counts], minlength=queries).astype(np.float64)
    documents = np.bincount(owners, minlength=queries).astype(np.float64)
    return _ratio(relevant, documents, resampling)


def _ratio(parts: FloatArray, totals: FloatArray, resampling: Resampling) -> ErrorInterval:
    """Return the ratio of two sums over queries, with its interval."""
    import numpy as np

    total = float(totals.sum())
    if not total:
        return ErrorInterval(value=None)
    sums = resampling.sums(np.column_stack([parts, totals]))
    divisors = np.where(sums[:, 1] == 0, np.nan, sums[:, 1])
    low, high = interval(sums[:, 0] / divisors)
    return ErrorInterval(value=float(parts.sum()) / total, low=low, high=high)
