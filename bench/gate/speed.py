"""Speed: the median of the paired ratios of times must stay below a limit. From stored timings only
where both were taken in the same way on the same machine; `bench.gate.live` times both sides anew,
in turn.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from bench.comparison.across import differences, refused, sentence
from bench.comparison.pairs import Side
from bench.gate.file import SpeedGate
from bench.gate.verdict import Gate, Outcome
from bench.latency.ratios import Ratio, Times, paired_ratio
from bench.latency.scenarios import one_query
from bench.latency.summary import timed_calls

if TYPE_CHECKING:
    import pandas as pd

    from bench.records.keys import Key

Judge = Callable[[Side, Side, SpeedGate, int], Gate | None]
"""(new, baseline, what is asked, seed) -> the speed gate; None for a reranker that does no work
worth timing.
"""

UNDER_TEST = "system"
"""The field of the speed key that may differ: another reranker may be faster or slower, which is
the question.
"""
SETTINGS = "settings."
"""How the fields of the speed key begin that are options of the reranker."""
LEAST_QUERIES = 20
"""Below so many queries the interval of a median says little, and the gate is inconclusive."""


def stored_speed(new: Side, baseline: Side, asked: SpeedGate, seed: int) -> Gate | None:
    """The speed gate from the timings in the two runs. Incomparable where the speed keys differ,
    inconclusive where a run was disturbed: two processes at two times differ by more than one
    process does, which no interval over queries shows.
    """
    if all(_not_of_a_timed_kind(side) for side in (new, baseline)):
        return None
    problem = _not_comparable(new, baseline, asked.across)
    if problem:
        return incomparable(new, asked, problem)
    ours, theirs = stored_times(new), stored_times(baseline)
    names = one_query()
    scenario = next((name for name in names if name in ours and name in theirs), None)
    ratio = paired_ratio(ours[scenario], theirs[scenario], seed) if scenario else None
    if ratio is None:
        return incomparable(
            new,
            asked,
            f"no query was timed in both runs in one of the scenarios {', '.join(names)}",
        )
    outcome, told = (
        judged(ratio, asked.ratio),
        "from two runs one after the other; --live times both in turn",
    )
    disturbed = [
        name
        for name, side in (("the new run", new), ("the baseline", baseline))
        if (side.record.latency or {}).get("disturbed")
    ]
    if disturbed and outcome != "pass":
        outcome, told = (
            "inconclusive",
            f"other processes took CPU time while {' and '.join(disturbed)} was timed; use --live",
        )
    return speed_gate(new, asked, outcome, [ratio], told)


def speed_gate(
    new: Side, asked: SpeedGate, outcome: Outcome, ratios: Sequence[Ratio], told: str
) -> Gate:
    """The gate over one measurement, or over one and its repetition."""
    found = (
        ", again ".join(f"{one.median:.3f}x [{one.low:.3f}, {one.high:.3f}]" for one in ratios)
        or "not timed"
    )
    numbers = {"max_ratio": asked.ratio, "measurements": [asdict(one) for one in ratios]}
    return Gate(new.trial, "speed", outcome, found, f"≤ {asked.ratio:g}x", told, numbers)


def incomparable(new: Side, asked: SpeedGate, told: str) -> Gate:
    return Gate(
        new.trial,
        "speed",
        "incomparable",
        "not compared",
        f"≤ {asked.ratio:g}x",
        told,
        decides=asked.required,
    )


def judged(ratio: Ratio, limit: float) -> Outcome:
    """Fail when the whole interval lies above the limit, pass when none of it does, else
    inconclusive.
    """
    if ratio.queries < LEAST_QUERIES:
        return "inconclusive"
    return "fail" if ratio.low > limit else "pass" if ratio.high <= limit else "inconclusive"


def stored_times(side: Side) -> dict[str, Times]:
    """scenario -> query -> round -> nanoseconds, of a trial's own timings."""
    return times_by_scenario(side.run.latency, side.trial.id)


def times_by_scenario(samples: pd.DataFrame, trial: str) -> dict[str, Times]:
    """Return scenario -> query -> round -> nanoseconds, from the columns of the table `latency`.
    Warm-ups and the parts of a call are left out.
    """
    calls = timed_calls(samples[samples["trial"] == trial])
    found: dict[str, dict[str, dict[int, float]]] = {}
    columns = calls[["scenario", "query", "round", "nanoseconds"]]
    for scenario, query, turn, taken in columns.itertuples(index=False):
        found.setdefault(str(scenario), {}).setdefault(str(query), {})[int(turn)] = float(taken)
    return dict(found)


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
    differing = differences(ours, theirs)
    known = _known_settings(ours) & _known_settings(theirs)
    names = [
        name
        for name in refused(differing, (UNDER_TEST, *across))
        if not name.startswith(SETTINGS) or name in known
    ]
    told = sentence({name: differing[name] for name in names})
    return f"the speed keys differ in {told}; --live times both on this machine" if names else ""


def _known_settings(key: Key) -> set[str]:
    """Return the names of the settings that a speed key holds. One that a record of an earlier
    version does not know is not held against it.
    """
    return {f"{SETTINGS}{name}" for name in key.value("settings") or {}}
