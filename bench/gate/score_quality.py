"""Quality of scores by non-inferiority: ECE and Brier may rise, and AUC may fall, by less than a
margin. A value is over all judged pairs of a row, so that the bounds are those of a bootstrap that
draws queries with their pairs, the same ones for both runs.
"""

from __future__ import annotations

from collections.abc import Sequence

from bench.comparison.pairs import Side, comparable
from bench.core.counting import counted
from bench.core.errors import IncomparableError, RecordError
from bench.gate.file import ACROSS
from bench.gate.verdict import Gate, Outcome
from bench.meaning.score_measures import (
    Absence,
    JudgedPairs,
    ScoreDifference,
    judged_pairs,
    score_difference,
)
from bench.quality.score_measures import ScoreMeasure

REASONS = {
    Absence.RANKS: "its scores are ranks: they say nothing of relevance",
    Absence.NO_PROBABILITIES: "its scores are no probabilities: a stage `calibrated` makes them so",
    Absence.ONE_LABEL: "all of its judged documents are relevant, or none",
    Absence.NO_PAIRS: "none of its documents is judged",
}


def score_quality_gate(
    new: Side,
    baseline: Side,
    measure: ScoreMeasure,
    margin: float,
    across: Sequence[str],
    seed: int,
) -> Gate:
    """Whether `new` loses less than `margin` of a measure of scores. Inconclusive where one of the
    runs has no value of it.
    """
    name, limit = f"quality {measure.name}", _limit(measure, margin)
    try:
        comparable(new, baseline, across, ACROSS)
    except IncomparableError as error:
        return Gate(new.trial, name, "incomparable", limit=limit, remark=str(error))
    try:
        ours = judged_pairs(new.run, new.record, new.run)
        theirs = judged_pairs(baseline.run, baseline.record, new.run)
        problem = _problem(ours, theirs, measure)
        if problem:
            return Gate(new.trial, name, "inconclusive", "no value", limit, problem)
        measured = score_difference(ours, theirs, measure, seed)
    except RecordError as error:
        return Gate(new.trial, name, "inconclusive", "no value", limit, str(error))
    return _answer(new, measure, margin, measured)


def _problem(ours: JudgedPairs, theirs: JudgedPairs, measure: ScoreMeasure) -> str:
    """Return why one of the runs has no value of the measure; empty where both have one."""
    for pairs, run in ((ours, "new run"), (theirs, "baseline")):
        absence = pairs.absence(measure)
        if absence is not None:
            return f"{run}: {REASONS[absence]}"
    return ""


def _answer(new: Side, measure: ScoreMeasure, margin: float, measured: ScoreDifference) -> Gate:
    outcome = _outcome(measure, margin, measured)
    notes = [f"{measure.better} is better"]
    if measured.queries < measure.least_queries:
        queries = counted(measured.queries, "query")
        notes.append(f"{queries} are too few for its bounds, which need {measure.least_queries}")
    if measured.unpaired:
        notes.append(f"{counted(measured.unpaired, 'query')} are in one run only")
    if measured.p is not None:
        notes.append(f"paired permutation test of the difference: p {_p_value(measured.p)}")
    bounds = f"[{measured.low:+.4f}, {measured.high:+.4f}]"
    return Gate(
        trial=new.trial,
        name=f"quality {measure.name}",
        outcome=outcome,
        measured=f"{measured.difference:+.4f} {bounds}",
        limit=_limit(measure, margin),
        remark="; ".join(notes),
        numbers={
            "measure": measure.name,
            "better": measure.better,
            "margin": margin,
            "value": measured.value,
            "baseline_value": measured.baseline_value,
            "difference": measured.difference,
            "one_sided_low": measured.low,
            "one_sided_high": measured.high,
            "queries": measured.queries,
            "pairs": measured.pairs,
            "unpaired": measured.unpaired,
            "p": measured.p,
        },
    )


def _outcome(measure: ScoreMeasure, margin: float, measured: ScoreDifference) -> Outcome:
    """Pass where the largest loss that the bounds allow is below the margin, fail where the
    smallest is above it.
    """
    smallest, largest = sorted((measure.loss(measured.low), measure.loss(measured.high)))
    if measured.queries < measure.least_queries:
        return "inconclusive"
    if largest < margin:
        return "pass"
    return "fail" if smallest > margin else "inconclusive"


def _p_value(p: float) -> str:
    return "below .001" if p < 0.001 else f"{p:.3f}".lstrip("0")


def _limit(measure: ScoreMeasure, margin: float) -> str:
    if measure.better == "lower":
        return f"< +{margin:g}"
    return f"> {-margin:g}"
