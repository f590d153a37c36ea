"""Quality by non-inferiority: "not significantly worse" is never a pass, the data must show that the loss is smaller than the margin
(Walker & Nowacki, J Gen Intern Med 2011). Student's t bounds of the paired differences, as in Schuirmann (J Pharmacokinet Biopharm 1987):
at 20 to 200 queries with heavy tails they keep their 5 % where the percentile bootstrap takes 6 to 9 (benchmarks/gate_power.py).

Several measures and rerankers need no correction: all gates must pass, and such an intersection-union test (Berger, Technometrics 1982)
wrongly passes no more often than its most lenient gate.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from bench.comparing import Comparison, Side, paired
from bench.errors import IncomparableError
from bench.gate.verdict import Gate, Outcome
from bench.measure import stats


def quality_gate(new: Side, baseline: Side, measure: str, margin: float, across: Sequence[str], seed: int) -> Gate:
    """Whether `new` loses less than `margin` of a measure. Incomparable where the quality keys differ."""
    name, limit = f"quality {measure}", f"> {-margin:g}"
    try:
        comparison = paired(new, baseline, measure, across, seed)
    except IncomparableError as error:
        return Gate(new.trial, name, "incomparable", limit=limit, told=str(error))
    deltas = list(comparison.deltas.values())
    low, high, outcome = non_inferiority(deltas, margin)
    least = stats.smallest_margin(deltas)
    return Gate(
        trial=new.trial,
        name=name,
        outcome=outcome,
        found=f"{comparison.difference.mean:+.4f} [{low:+.3f}, {high:+.3f}]",
        limit=limit,
        told=_told(comparison, outcome, margin, least),
        numbers={
            "measure": measure,
            "margin": margin,
            "mean": comparison.mean,
            "baseline_mean": comparison.baseline_mean,
            "difference": comparison.difference.mean,
            "one_sided_low": _finite(low),
            "one_sided_high": _finite(high),
            "p": comparison.difference.p,
            "queries": len(deltas),
            "smallest_margin": _finite(least),
            "queries_needed": _queries_needed(len(deltas), least, margin),
            "underpowered": margin < least,
            "moved": dict(comparison.moved(5)),
            "across": list(comparison.across),
        },
    )


def non_inferiority(deltas: Sequence[float], margin: float) -> tuple[float, float, Outcome]:
    """(lower bound, upper bound, outcome) for paired differences new - old: pass above -margin, fail below it, else inconclusive."""
    low, high = stats.one_sided_bounds(deltas)
    return low, high, "pass" if low > -margin else "fail" if high < -margin else "inconclusive"


def power_problem(gate: Gate) -> str | None:
    """What is wrong with a margin that these queries cannot tell, or None. A loss beyond the margin, or a gain, is shown all the same:
    such a verdict does not rest on the margin's being wide enough."""
    told = gate.numbers
    if not told.get("underpowered") or gate.outcome == "fail" or (told["one_sided_low"] or 0) > 0:
        return None
    least, needed = told["smallest_margin"], told["queries_needed"]
    can = f"{told['queries']} queries support a margin of {least:.4f} at least" if least else "one query tells nothing"
    would = f" ({needed} queries would do)" if needed else ""
    return f"{gate.trial.id}, {told['measure']}: margin {told['margin']:g}, but {can}{would}; found {gate.found}"


def _told(found: Comparison, outcome: Outcome, margin: float, least: float) -> str:
    difference = found.difference
    moves = f"{difference.wins} queries rose, {difference.ties} stayed, {difference.losses} fell"
    weak = f"; so many queries support a margin of {least:.3g} at least" if margin < least and math.isfinite(least) else ""
    fallen = [f"{query} {delta:+.2f}" for query, delta in found.moved(len(found.deltas)) if delta < 0][:3]
    worst = f"; most: {', '.join(fallen)}" if fallen and outcome != "pass" else ""
    unpaired = f"; {found.unpaired} queries stand in one run only" if found.unpaired else ""
    return f"{moves}{weak}{worst}{unpaired}"


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _queries_needed(n: int, least: float, margin: float) -> int | None:
    return math.ceil(n * (least / margin) ** 2) if math.isfinite(least) and least > margin else None
