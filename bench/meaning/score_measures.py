"""The measures of scores of a run's rows, from its stored scores and judgments: each value over all
judged pairs of a row, with an interval that draws queries anew with all of their pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple

from bench.calibration import errors
from bench.calibration.file import ErrorInterval
from bench.contract.identity import Fields
from bench.core.errors import RecordError
from bench.meaning.calibrate import default_reading, labels_of
from bench.meaning.crossed_ece import crossed_ece
from bench.meaning.error_intervals import (
    Labelled,
    auc_resamples,
    brier_resamples,
    ece_resamples,
)
from bench.meaning.paired_brier import SquaredErrors, brier_p
from bench.meaning.resampling import Resampling, interval
from bench.quality.score_measures import ScoreMeasure, of_scores
from bench.quality.statistics import LEVEL
from bench.records.judged_scores import JudgedScores, all_judged_scores, joined, qrels_of
from bench.records.run import Run
from bench.records.schema import Record

if TYPE_CHECKING:
    from bench.calibration.arrays import FloatArray, IntArray
    from bench.contract.candidates import QueryCandidates


class Absence(StrEnum):
    """Why a row has no value of a measure of scores."""

    RANKS = "ranks"
    NO_PROBABILITIES = "no-probabilities"
    ONE_LABEL = "one-label"
    NO_PAIRS = "no-pairs"


class Function(NamedTuple):
    """A measure as arrays have it: its value, and its values over drawn queries."""

    value: Callable[[FloatArray, FloatArray], float]
    resamples: Callable[[FloatArray, Labelled], FloatArray]


FUNCTIONS: Mapping[str, Function] = {
    "ECE": Function(errors.expected_calibration_error, ece_resamples),
    "Brier": Function(errors.brier, brier_resamples),
    "AUC": Function(errors.auc, auc_resamples),
}


@dataclass(frozen=True)
class JudgedPairs:
    """The scores of a row's labelled documents, and the number of each one's query among
    `query_ids`; shapes (pairs,). `are_ranks` says that the scores are places and nothing else.
    """

    query_ids: Sequence[str]
    scores: FloatArray
    labels: FloatArray
    owners: IntArray
    are_ranks: bool

    @classmethod
    def of(cls, table: JudgedScores) -> JudgedPairs:
        """Return the pairs that count: unjudged ones where only relevant ones are judged."""
        import numpy as np

        labels = labels_of(table, default_reading(table))
        is_known = ~np.isnan(labels)
        return cls(
            table.query_ids,
            table.scores[is_known],
            labels[is_known],
            table.owners[is_known],
            table.are_ranks,
        )

    def absence(self, measure: ScoreMeasure) -> Absence | None:
        """Return why these pairs have no value of the measure; None where they have one."""
        if self.are_ranks:
            return Absence.RANKS
        if not len(self.labels):
            return Absence.NO_PAIRS
        if measure.needs_probabilities:
            is_inside = self.scores.min() >= 0 and self.scores.max() <= 1
            return None if is_inside else Absence.NO_PROBABILITIES
        if self.labels.min() == self.labels.max():
            return Absence.ONE_LABEL
        return None

    def squared_errors(self) -> SquaredErrors:
        """Return the squared errors of probabilities by query."""
        import numpy as np

        queries = len(self.query_ids)
        squares = (self.scores - self.labels) ** 2
        sums = np.bincount(self.owners, squares, minlength=queries).astype(np.float64)
        documents = np.bincount(self.owners, minlength=queries).astype(np.float64)
        return SquaredErrors(self.query_ids, sums, documents)

    def over(self, query_ids: Sequence[str]) -> JudgedPairs:
        """Return the pairs of these queries alone, numbered in their order."""
        import numpy as np

        places = {query_id: place for place, query_id in enumerate(query_ids)}
        numbers = np.array([places.get(query_id, -1) for query_id in self.query_ids])
        owners = numbers[self.owners]
        is_wanted = owners >= 0
        return replace(
            self,
            query_ids=query_ids,
            scores=self.scores[is_wanted],
            labels=self.labels[is_wanted],
            owners=owners[is_wanted],
        )


@dataclass(frozen=True)
class ScoreValue:
    """A row's value of a measure, or why it has none."""

    measure: ScoreMeasure
    interval: ErrorInterval
    absence: Absence | None = None


@dataclass(frozen=True)
class RowScores:
    """The measures of scores of one row, over its judged pairs."""

    table: JudgedScores
    pairs: JudgedPairs
    values: Sequence[ScoreValue]


def score_measures(run: Run) -> list[RowScores]:
    """Return the measures of scores that the suite of a run asks for, row by row; nothing where it
    asks for none.
    """
    measures = of_scores(measures_of(run))
    if not measures:
        return []
    rows: list[RowScores] = []
    for table in all_judged_scores(run):
        pairs = JudgedPairs.of(table)
        values = [score_value(pairs, measure, run.seed) for measure in measures]
        rows.append(RowScores(table, pairs, values))
    return rows


def columns(run: Run) -> dict[str, Fields]:
    """Return trial id -> the measures of scores with their intervals, as columns of the main table;
    None where a row has no value. Empty where the suite asks for none.
    """
    by_trial: dict[str, Fields] = {}
    for row in score_measures(run):
        fields: dict[str, object] = {}
        for value in row.values:
            name, own = value.measure.name, value.interval
            fields |= {name: own.value, f"{name} low": own.low, f"{name} high": own.high}
        by_trial[row.table.row.trial.id] = fields
    return by_trial


def measures_of(run: Run) -> Sequence[str]:
    """Return the measures that the suite of a run asks for."""
    names: Any = run.info.resolved.get("measures") or ()
    return tuple(map(str, names))


def score_value(pairs: JudgedPairs, measure: ScoreMeasure, seed: int) -> ScoreValue:
    """Return a measure of scores with its interval."""
    absence = pairs.absence(measure)
    if absence is not None:
        return ScoreValue(measure, ErrorInterval(value=None), absence)
    function = FUNCTIONS[measure.name]
    labelled = Labelled(pairs.labels, pairs.owners, Resampling(len(pairs.query_ids), seed))
    value = function.value(pairs.scores, pairs.labels)
    low, high = interval(function.resamples(pairs.scores, labelled))
    return ScoreValue(measure, ErrorInterval(value=value, low=low, high=high))


@dataclass(frozen=True)
class ScoreDifference:
    """A measure of scores in two runs, over the same queries, new less baseline, and the one-sided
    95 % bounds of that: both runs have the same drawn queries. The difference of ECE leaves out
    what the noise of labels adds to each: see `crossed_ece`. `p` is that of the Brier score over
    the same documents: see `paired_brier`.
    """

    value: float
    baseline_value: float
    difference: float
    low: float
    high: float
    queries: int
    pairs: int
    unpaired: int
    p: float | None = None


def judged_pairs(run: Run, record: Record, qrels_from: Run) -> JudgedPairs:
    """Return the judged pairs of a trial; of a baseline, which keeps no judgments and no table of
    scores, by those of the other run and by its ranking, which has the scores.

    Raises RecordError where a run holds neither scores nor a ranking, or no judgments.
    """
    trial = record.trial
    lists: Mapping[str, QueryCandidates] = run.scores_of(trial.id)
    if not lists:
        lists = run.ranking(trial.id)
        if record.stages:
            received = record.stages[-1].received
            lists = {query: ranking.first(received) for query, ranking in lists.items()}
    row = next(row for row in run.rows if row.trial.id == trial.id)
    table = joined(run, row, lists, qrels_of(qrels_from, trial.dataset))
    return JudgedPairs.of(table)


def score_difference(
    new: JudgedPairs, baseline: JudgedPairs, measure: ScoreMeasure, seed: int
) -> ScoreDifference:
    """Return how a measure of scores differs between two runs. Raises RecordError where they have
    no query in common.
    """
    import numpy as np

    known = set(baseline.query_ids)
    query_ids = [query_id for query_id in new.query_ids if query_id in known]
    if not query_ids:
        raise RecordError("no query was scored in both runs")
    ours, theirs = new.over(query_ids), baseline.over(query_ids)
    function = FUNCTIONS[measure.name]
    values = [function.value(side.scores, side.labels) for side in (ours, theirs)]
    value, drawn = _for_difference(ours, measure, seed)
    before, drawn_before = _for_difference(theirs, measure, seed)
    difference = value - before
    resamples = drawn - drawn_before
    # the middle of the resamples is moved to what was measured
    resamples -= np.nanmean(resamples) - difference
    low, high = np.nanquantile(resamples, [1 - LEVEL, LEVEL])
    unpaired = len(new.query_ids) + len(baseline.query_ids) - 2 * len(query_ids)
    return ScoreDifference(
        value=values[0],
        baseline_value=values[1],
        difference=difference,
        low=float(low),
        high=float(high),
        queries=len(query_ids),
        pairs=len(ours.labels),
        unpaired=unpaired,
        p=_p(ours, theirs, measure, seed),
    )


def _p(ours: JudgedPairs, theirs: JudgedPairs, measure: ScoreMeasure, seed: int) -> float | None:
    """Return the p of a difference in the Brier score; None for another measure, and where the
    pairs are not of as many documents.
    """
    if measure.name != "Brier":
        return None
    new, old = ours.squared_errors(), theirs.squared_errors()
    return brier_p(new.sums, old.sums, seed) if new.fits(old) else None


def _for_difference(
    pairs: JudgedPairs, measure: ScoreMeasure, seed: int
) -> tuple[float, FloatArray]:
    """Return a measure as differences are taken of it, and that of each resample of queries."""
    queries = len(pairs.query_ids)
    if measure.name == "ECE":
        return crossed_ece(pairs.scores, pairs.labels, pairs.owners, queries, seed)
    function = FUNCTIONS[measure.name]
    labelled = Labelled(pairs.labels, pairs.owners, Resampling(queries, seed))
    return function.value(pairs.scores, pairs.labels), function.resamples(pairs.scores, labelled)
