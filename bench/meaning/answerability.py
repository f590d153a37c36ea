"""Whether the scores of a row tell that nothing relevant is among the candidates: each query with
its documents, and without those that are relevant.

Free where a document's score does not depend on the others. Elsewhere the shorter list would have
to be scored again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from bench.calibration import maps
from bench.calibration.file import ErrorInterval
from bench.calibration.lists import ScoredLists
from bench.contract.candidates import QueryCandidates
from bench.core.errors import CalibrationError, DataError
from bench.meaning.calibrate import default_reading, labels_of, tables_of
from bench.meaning.cross_fitting import FOLDS, Recipe, fold_numbers, lists_of
from bench.meaning.error_intervals import Labelled, auc_of
from bench.meaning.resampling import Resampling, interval
from bench.records.judged_scores import JudgedScores, judged_scores
from bench.records.rows import Row
from bench.records.run import Run
from bench.records.schema import Record

if TYPE_CHECKING:
    from bench.calibration.arrays import BoolArray, FloatArray, IntArray

KEPT = 0.9
"""Share of the queries with an answer that a threshold keeps."""
FEWEST = 10
"""Queries with an answer below which nothing is said."""
SEARCHES = frozenset({"bm25", "dense", "sparse"})
"""First stages whose score of a document does not depend on the others that they find."""


WHOLE = "a search or a pipeline would have to run as a whole"
"""Why some rows cannot be asked for one list alone."""


class Problem(StrEnum):
    """Why nothing is said of a row."""

    RANKS = "ranks"
    DEPENDS = "depends"
    FEW = "few"
    """Queries with an answer."""
    FULL = "full"
    """Lists of which something is left without the relevant documents are few."""


@dataclass(frozen=True)
class Signal:
    """One number of a list by which queries could be refused.

    `auroc` is the chance that a query with an answer has the higher number than one without;
    `false_accepts` the share of those without that a threshold accepts which keeps KEPT of the
    others.
    """

    name: str
    auroc: ErrorInterval
    false_accepts: ErrorInterval
    threshold: float


@dataclass(frozen=True)
class Answerability:
    """A row's signals. `answerable` queries have a relevant document that was scored, and `without`
    have other documents. `is_asked` says that its shorter lists were asked anew, and `remark` what
    to know of that. `chance` is the AUROC that the top of random scores would have: a list
    without its relevant documents is shorter.
    """

    table: JudgedScores
    answerable: int
    without: int
    chance: float
    signals: Sequence[Signal] = ()
    problem: Problem | None = None
    is_asked: bool = False
    remark: str = ""

    def remarked(self, text: str) -> Answerability:
        """Return the same with a remark."""
        return replace(self, remark=text)

    @property
    def runs_as_a_whole(self) -> bool:
        """Whether a search or a pipeline gave the scores, which is asked for no list alone."""
        row = self.table.row
        return row.trial.is_first_stage or bool(row.stages)

    @property
    def top(self) -> Signal | None:
        """The signal of the top score."""
        return next((signal for signal in self.signals if signal.name == TOP), None)


Values = Callable[[ScoredLists], "FloatArray"]
"""Returns a number per list, shape (queries,)."""


def top(lists: ScoredLists) -> FloatArray:
    """Return the highest score of each list."""
    import numpy as np

    values: FloatArray = np.maximum.reduceat(lists.scores, lists.offsets[:-1])
    return values


def margin(lists: ScoredLists) -> FloatArray:
    """Return how far the highest score of each list is above the next one; 0 for a list of one."""
    import numpy as np

    order = np.lexsort((-lists.scores, lists.owners))
    scores = lists.scores[order]
    first = lists.offsets[:-1]
    second = np.minimum(first + 1, lists.offsets[1:] - 1)
    values: FloatArray = scores[first] - scores[second]
    return values


@dataclass(frozen=True)
class Numbers:
    """A number of each list, with and without an answer. `folds` are those of the queries of the
    row, shape (queries,), where a map of each fold gave the numbers.
    """

    name: str
    with_answer: FloatArray
    without: FloatArray
    folds: IntArray | None = None


TOP = "top score"
PROBABILITY = "probability"
SIGNALS: Mapping[str, Values] = {TOP: top, "margin": margin}
"""Name -> a number of a list's scores as they are."""
PLACED = "with place"
RECIPES = {PROBABILITY: Recipe("platt"), PLACED: Recipe("platt", maps.FEATURES)}
"""What the calibrated probability of the top document is by, fitted on other queries."""


@dataclass(frozen=True)
class _Lists:
    """A row's lists with and without relevant documents. `answerable` and `remaining` are the
    numbers of the queries in the former and the latter.
    """

    with_answer: ScoredLists
    without: ScoredLists
    answerable: IntArray
    remaining: IntArray


def answerability(
    run: Run,
    name: str | None = None,
    *,
    dataset: str | None = None,
    first_stage: str | None = None,
    seed: int | None = None,
) -> list[Answerability]:
    """Return the answerability of each row of a run that has scores, or of the rows of one reranker
    or trial. Raises RecordError as `calibrate` does.
    """
    tables = tables_of(run, name, dataset=dataset, first_stage=first_stage)
    own = run.seed if seed is None else seed
    return [_of_table(run, table, own, SIGNALS, mapped=True) for table in tables]


def with_shorter_lists(
    run: Run, table: JudgedScores, shorter: Mapping[str, QueryCandidates], seed: int | None = None
) -> Answerability:
    """Return the answerability of a row whose scores depend on the list, by its scores of each
    query's other documents alone; queries that `shorter` lacks have no list without an answer.
    """
    own = run.seed if seed is None else seed
    answer = _of_table(run, table, own, SIGNALS, mapped=True, shorter=shorter)
    return replace(answer, is_asked=True)


def top_score(run: Run, row: Row, only: Collection[str] | None = None) -> Answerability:
    """Return what the top score alone says of a row, by all queries or by some. Raises RecordError
    where the run keeps no scores of it, or no judgments.
    """
    return _of_table(run, judged_scores(run, row, only), run.seed, {TOP: top}, mapped=False)


def _of_table(
    run: Run,
    table: JudgedScores,
    seed: int,
    signals: Mapping[str, Values],
    *,
    mapped: bool,
    shorter: Mapping[str, QueryCandidates] | None = None,
) -> Answerability:
    lists = _parted(table)
    if shorter is not None:
        lists = _with_shorter(lists, table, shorter)
    counts = len(lists.answerable), len(lists.remaining)
    knows_without = shorter is not None or is_free(run.records[table.row.trial.id])
    problem = _problem(table, *counts, knows_without=knows_without)
    if problem is not None:
        return Answerability(table, *counts, float("nan"), problem=problem)
    values = [
        Numbers(name, value(lists.with_answer), value(lists.without))
        for name, value in signals.items()
    ]
    if mapped:
        for name, recipe in RECIPES.items():
            values += _probabilities(run, table, lists, seed, name, recipe)
    resampling = Resampling(len(table.query_ids), seed)
    own = [_signal(numbers, lists, resampling) for numbers in values]
    return Answerability(table, *counts, _chance(lists), own)


def _problem(
    table: JudgedScores, answerable: int, without: int, *, knows_without: bool
) -> Problem | None:
    if table.are_ranks:
        return Problem.RANKS
    if not knows_without:
        return Problem.DEPENDS
    if answerable < FEWEST:
        return Problem.FEW
    return Problem.FULL if without < FEWEST else None


def is_free(record: Record) -> bool:
    """Return whether a document's score is the same when other documents are taken away."""
    if record.trial.is_first_stage:
        source: Mapping[str, object] = {**record.candidates}
        return source.get("first_stage") in SEARCHES
    return record.pointwise is True


def _parted(table: JudgedScores) -> _Lists:
    import numpy as np

    lists = lists_of(table)
    is_relevant = table.labels(unjudged_as_not_relevant=True) > 0
    owners = lists.owners
    queries = len(table.query_ids)
    relevant = np.bincount(owners, is_relevant, minlength=queries)
    others = np.bincount(owners, ~is_relevant, minlength=queries)
    answerable = np.flatnonzero(relevant > 0)
    remaining = np.flatnonzero(others > 0)
    with_answer, _ = lists.part(relevant > 0)
    offsets = np.concatenate([[0], np.cumsum(others[remaining])]).astype(np.int64)
    without = ScoredLists(lists.scores[~is_relevant], offsets)
    return _Lists(with_answer, without, answerable, remaining)


def _with_shorter(
    lists: _Lists, table: JudgedScores, shorter: Mapping[str, QueryCandidates]
) -> _Lists:
    """Return the lists with these scores of those without relevant documents."""
    import numpy as np

    remaining = [number for number, query_id in enumerate(table.query_ids) if query_id in shorter]
    parts = [np.array(shorter[table.query_ids[number]].scores) for number in remaining]
    offsets = np.concatenate([[0], np.cumsum([len(part) for part in parts])]).astype(np.int64)
    scores = np.concatenate(parts) if parts else np.empty(0)
    without = ScoredLists(scores, offsets)
    return replace(lists, without=without, remaining=np.array(remaining, dtype=np.int64))


def _probabilities(
    run: Run, table: JudgedScores, lists: _Lists, seed: int, name: str, recipe: Recipe
) -> Iterator[Numbers]:
    """Yield the probability of each list's top document by a map that was fitted on other queries;
    nothing where there are too few queries to fit one.
    """
    import numpy as np

    labels = labels_of(table, default_reading(table))
    all_lists = lists_of(table)
    with_answer = np.zeros(len(lists.answerable))
    without = np.zeros(len(lists.remaining))
    try:
        fold_of = fold_numbers(run, table, FOLDS, seed)
        for fold in np.unique(fold_of):
            others, is_theirs = all_lists.part(fold_of != fold)
            own_map = maps.fitted(recipe.kind, others, labels[is_theirs], recipe.features)
            _fill(with_answer, lists.with_answer, fold_of[lists.answerable] == fold, own_map)
            _fill(without, lists.without, fold_of[lists.remaining] == fold, own_map)
    except (CalibrationError, DataError):
        return
    yield Numbers(name, with_answer, without, fold_of)


def _fill(
    values: FloatArray, lists: ScoredLists, is_own: BoolArray, own_map: maps.ScoreMap
) -> None:
    """Set the highest probability of each list of a fold."""
    if is_own.any():
        own, _ = lists.part(is_own)
        values[is_own] = top(ScoredLists(own_map.of_lists(own), own.offsets))


def _signal(numbers: Numbers, lists: _Lists, resampling: Resampling) -> Signal:
    import numpy as np

    with_answer, without = numbers.with_answer, numbers.without
    values = np.concatenate([with_answer, without])
    labels = np.concatenate([np.ones(len(with_answer)), np.zeros(len(without))])
    owners = np.concatenate([lists.answerable, lists.remaining])
    folds = None if numbers.folds is None else numbers.folds[owners]
    auroc = auc_of(values, Labelled(labels, owners, resampling), folds)
    accepts, threshold = _false_accepts(with_answer, without, lists, resampling)
    return Signal(numbers.name, auroc, accepts, threshold)


def _false_accepts(
    with_answer: FloatArray, without: FloatArray, lists: _Lists, resampling: Resampling
) -> tuple[ErrorInterval, float]:
    """Return the share of lists without an answer that the threshold accepts, and the threshold. It
    is chosen anew in each resample.
    """
    import numpy as np

    falling = np.argsort(-with_answer, kind="stable")
    others = np.argsort(-without, kind="stable")
    weights = resampling.counts[:, lists.answerable[falling]]
    accepted = resampling.counts[:, lists.remaining[others]].cumsum(axis=1)
    accepted = np.concatenate([np.zeros((len(accepted), 1)), accepted], axis=1)
    reached = np.searchsorted(-without[others], -with_answer[falling], side="right")
    sums = weights.cumsum(axis=1)
    totals = sums[:, -1:]
    places = (sums >= KEPT * totals - 1e-9).argmax(axis=1)
    shares = accepted[np.arange(len(accepted)), reached[places]] / np.maximum(accepted[:, -1], 1)
    shares[totals[:, 0] == 0] = np.nan
    place = int(np.ceil(KEPT * len(falling) - 1e-9)) - 1
    value = float(reached[place] / len(without))
    low, high = interval(shares)
    return ErrorInterval(value=value, low=low, high=high), float(with_answer[falling][place])


def _chance(lists: _Lists) -> float:
    """Return the chance that the top of a list with its relevant documents is above that of another
    without, where scores are random: longer lists have higher tops.
    """
    import numpy as np

    longer = np.diff(lists.with_answer.offsets)[:, None]
    shorter = np.diff(lists.without.offsets)[None, :]
    return float(np.mean(longer / (longer + shorter)))
