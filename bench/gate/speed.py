"""Speed: the median of the paired ratios of times must stay below a limit. From stored timings only
where both were taken in the same way on the same machine; `bench.gate.live` times both sides anew,
in turn.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from bench.comparison.across import differences, refused, sentence
from bench.comparison.pairs import Side
from bench.gate.asking import Context
from bench.gate.file import RerankerGates, SpeedGate
from bench.gate.verdict import Gate, Line, Outcome
from bench.latency.ratios import Ratio, Times, paired_ratio
from bench.latency.scenarios import one_query
from bench.latency.summary import timed_calls

if TYPE_CHECKING:
    import pandas as pd

    from bench.records.keys import Key

UNDER_TEST = "system"
"""The field of the speed key that may differ: another reranker may be faster or slower, which is
the question.
"""
QUESTION = "quality"
"""The field of the speed key that holds the hash of the quality key."""
SETTINGS = "settings."
"""How the fields of the speed key begin that are options of the reranker."""
LEAST_QUERIES = 20
"""Below so many queries the interval of a median says little, and the gate is inconclusive."""


def ask(new: Side, baseline: Side, questions: RerankerGates, context: Context) -> Iterator[Gate]:
    """Yield the speed gate where the file asks for it and the reranker does work worth timing."""
    if questions.speed is None:
        return
    gate = context.speed(new, baseline, questions.speed, context.seed)
    if gate is not None:
        yield gate


def stored_speed(new: Side, baseline: Side, question: SpeedGate, seed: int) -> Gate | None:
    """The speed gate from the timings in the two runs. Incomparable where the speed keys differ,
    inconclusive where a run was disturbed: two processes at two times differ by more than one
    process does, which no interval over queries shows.
    """
    if all(_not_of_a_timed_kind(side) for side in (new, baseline)):
        return None
    problem = _not_comparable(new, baseline, question.across)
    if problem:
        return incomparable(new, question, problem)
    ratio = _stored_ratio(new, baseline, seed)
    if ratio is None:
        names = ", ".join(one_query())
        problem = f"no query was timed in both runs in one of the scenarios {names}"
        return incomparable(new, question, problem)
    outcome = judged(ratio, question.ratio)
    remark = "from two runs one after the other; --live times both in turn"
    disturbed = [
        name
        for name, side in (("the new run", new), ("the baseline", baseline))
        if (side.record.latency or {}).get("disturbed")
    ]
    if disturbed and outcome != "pass":
        outcome = "inconclusive"
        runs = " and ".join(disturbed)
        remark = f"other processes took CPU time while {runs} was timed; use --live"
    return speed_gate(new, question, outcome, [ratio], remark)


def _stored_ratio(new: Side, baseline: Side, seed: int) -> Ratio | None:
    """Return the ratio of times in the first scenario of one query that both runs have; None where
    there is none.
    """
    ours, theirs = stored_times(new), stored_times(baseline)
    for scenario in one_query():
        if scenario in ours and scenario in theirs:
            return paired_ratio(ours[scenario], theirs[scenario], seed)
    return None


def speed_gate(
    new: Side, question: SpeedGate, outcome: Outcome, ratios: Sequence[Ratio], remark: str
) -> Gate:
    """The gate over one measurement, or over one and its repetition."""
    intervals = [f"{ratio.median:.3f}x [{ratio.low:.3f}, {ratio.high:.3f}]" for ratio in ratios]
    measured = ", again ".join(intervals) or "not timed"
    numbers = {"max_ratio": question.ratio, "measurements": [asdict(ratio) for ratio in ratios]}
    limit = f"≤ {question.ratio:g}x"
    lines = [Line("speed, again", interval, limit) for interval in intervals]
    if lines:
        lines[0] = lines[0]._replace(name="speed")
    return Gate(new.trial, "speed", outcome, measured, limit, remark, numbers, lines=lines)


def incomparable(new: Side, question: SpeedGate, reason: str) -> Gate:
    """The gate of two sides whose times cannot be compared."""
    return Gate(
        new.trial,
        "speed",
        "incomparable",
        "not compared",
        f"≤ {question.ratio:g}x",
        reason,
        decides=question.required,
    )


def judged(ratio: Ratio, limit: float) -> Outcome:
    """Fail when the whole interval lies above the limit, pass when none of it does, else
    inconclusive.
    """
    if ratio.queries < LEAST_QUERIES:
        return "inconclusive"
    if ratio.low > limit:
        return "fail"
    if ratio.high <= limit:
        return "pass"
    return "inconclusive"


def stored_times(side: Side) -> dict[str, Times]:
    """scenario -> query -> round -> nanoseconds, of a trial's own timings."""
    return times_by_scenario(side.run.latency, side.trial.id)


def times_by_scenario(samples: pd.DataFrame, trial: str) -> dict[str, Times]:
    """Return scenario -> query -> round -> nanoseconds, from the columns of the table `latency`.
    Warm-ups and the parts of a call are left out.
    """
    calls = timed_calls(samples[samples["trial"] == trial])
    by_scenario: dict[str, dict[str, dict[int, float]]] = {}
    columns = calls[["scenario", "query", "round", "nanoseconds"]]
    for scenario, query, turn, nanoseconds in columns.itertuples(index=False):
        by_query = by_scenario.setdefault(str(scenario), {})
        by_query.setdefault(str(query), {})[int(turn)] = float(nanoseconds)
    return dict(by_scenario)


def _not_of_a_timed_kind(side: Side) -> bool:
    """Whether its run was timed, and it was not: an order that is given takes no time worth
    measuring.
    """
    return side.record.latency is None and any(
        record.latency for record in side.run.records.values()
    )


def _not_comparable(new: Side, baseline: Side, across: Sequence[str]) -> str:
    ours, theirs = new.record.keys.get("speed"), baseline.record.keys.get("speed")
    untimed = [
        name for name, key in (("the new run", ours), ("the baseline", theirs)) if key is None
    ]
    if ours is None or theirs is None:
        return f"{' and '.join(untimed)} holds no timings of it; --live times both anew"
    differing = dict(differences(ours, theirs))
    if new.record.question.hash == baseline.record.question.hash:
        # keys of earlier versions differ in the measures, which take no time
        differing.pop(QUESTION, None)
    known = _known_settings(ours) & _known_settings(theirs)
    names = [
        name
        for name in refused(differing, (UNDER_TEST, *across))
        if not name.startswith(SETTINGS) or name in known
    ]
    if not names:
        return ""
    changes = sentence({name: differing[name] for name in names})
    return f"the speed keys differ in {changes}; --live times both on this machine"


def _known_settings(key: Key) -> set[str]:
    """Return the names of the settings that a speed key holds. One that a record of an earlier
    version does not know is not held against it.
    """
    return {f"{SETTINGS}{name}" for name in key.value("settings") or {}}
