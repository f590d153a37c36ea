"""Quality by non-inferiority: "not significantly worse" is never a pass, the data must show that
the loss is smaller than the margin (Walker & Nowacki, J Gen Intern Med 2011). Student's t bounds of
the paired differences, as in Schuirmann (J Pharmacokinet Biopharm 1987): at 20 to 200 queries with
heavy tails they keep their 5 % where the percentile bootstrap takes 6 to 9
(benchmarks/gate_power.py).

Several measures and rerankers need no correction: all gates must pass, and such an
intersection-union test (Berger, Technometrics 1982) wrongly passes no more often than its most
lenient gate.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from bench.comparison.pairs import Comparison, Side, paired
from bench.core.counting import counted
from bench.core.errors import IncomparableError
from bench.gate.asking import Context
from bench.gate.file import ACROSS, HEADLINE, RerankerGates
from bench.gate.score_quality import score_quality_gate
from bench.gate.verdict import Gate, Outcome
from bench.quality import statistics
from bench.quality.score_measures import SCORE_MEASURES, is_of_scores
from bench.records.measure import resolve_measure


def ask(new: Side, baseline: Side, questions: RerankerGates, context: Context) -> Iterator[Gate]:
    """Yield a gate for each measure that the file names."""
    for measure, margin in (questions.quality or {}).items():
        if is_of_scores(measure):
            yield score_quality_gate(
                new, baseline, SCORE_MEASURES[measure], margin, context.across, context.seed
            )
            continue
        wanted = None if measure == HEADLINE else measure
        name = resolve_measure(baseline.run, wanted, {baseline.trial.id})
        yield context.quality(new, baseline, name, margin, context.across, context.seed)


def quality_gate(
    new: Side, baseline: Side, measure: str, margin: float, across: Sequence[str], seed: int
) -> Gate:
    """Whether `new` loses less than `margin` of a measure. Incomparable where the quality keys
    differ.

    Nothing but zeros fails whatever the baseline, and a margin that is not below the baseline's
    mean is inconclusive, not passed: no loss could be larger.
    """
    name, limit = f"quality {measure}", f"> {-margin:g}"
    try:
        comparison = paired(new, baseline, measure, across, seed, ACROSS)
    except IncomparableError as error:
        return Gate(new.trial, name, "incomparable", limit=limit, remark=str(error))
    deltas = list(comparison.deltas.values())
    low, high, outcome = non_inferiority(deltas, margin)
    has_zeros_alone = not any(new.values(measure).values())
    cannot_be_lost = margin >= comparison.baseline_mean
    if has_zeros_alone:
        outcome = "fail"
    elif cannot_be_lost and outcome == "pass":
        outcome = "inconclusive"
    smallest = statistics.smallest_margin(deltas)
    notes = [_moves(comparison, outcome)]
    if has_zeros_alone:
        notes.append("every query scores 0")
    if cannot_be_lost:
        notes.append(
            f"a margin of {margin:g} cannot be lost: the baseline's mean is "
            f"{comparison.baseline_mean:.4f}"
        )
    if margin < smallest:
        notes.append(_support(len(deltas), smallest, margin))
    if comparison.unpaired:
        notes.append(f"{counted(comparison.unpaired, 'query')} are in one run only")
    return Gate(
        trial=new.trial,
        name=name,
        outcome=outcome,
        measured=f"{comparison.difference.mean:+.4f} [{low:+.4f}, {high:+.4f}]",
        limit=limit,
        remark="; ".join(notes),
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
            "unpaired": comparison.unpaired,
            "smallest_margin": _finite(smallest),
            "queries_needed": statistics.queries_needed(len(deltas), smallest, margin),
            "underpowered": margin < smallest,
            "moved": dict(comparison.moved(5)),
            "across": list(comparison.across),
        },
    )


def non_inferiority(deltas: Sequence[float], margin: float) -> tuple[float, float, Outcome]:
    """(lower bound, upper bound, outcome) for paired differences new - old: pass above -margin,
    fail below it, else inconclusive.
    """
    low, high = statistics.one_sided_bounds(deltas)
    if low > -margin:
        return low, high, "pass"
    if high < -margin:
        return low, high, "fail"
    return low, high, "inconclusive"


def _moves(comparison: Comparison, outcome: Outcome) -> str:
    difference = comparison.difference
    moves = (
        f"{counted(difference.wins, 'query')} rose, {difference.ties} stayed, "
        f"{difference.losses} fell"
    )
    fallen = [
        f"{query} {delta:+.2f}"
        for query, delta in comparison.moved(len(comparison.deltas))
        if delta < 0
    ][:3]
    if not fallen or outcome == "pass":
        return moves
    return f"{moves}; most: {', '.join(fallen)}"


def _support(queries: int, smallest: float, margin: float) -> str:
    """What margin the queries support, and how many would support the one that is asked."""
    needed = statistics.queries_needed(queries, smallest, margin)
    if needed is None:
        return "one query supports no margin"
    return (
        f"{counted(queries, 'query')} support a margin of {smallest:.4f} at least; "
        f"{counted(needed, 'query')} would support {margin:g}"
    )


def _finite(value: float) -> float | None:
    if math.isfinite(value):
        return value
    return None
