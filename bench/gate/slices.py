"""Quality by classes of queries: each class must lose less than a margin, by the bounds of the gate
over all of them. All must pass, so that several need no correction.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from bench.comparison.pairs import Comparison, Side, paired
from bench.comparison.slices import LEAST, Slice, slices_of
from bench.core.counting import counted
from bench.core.errors import BenchError
from bench.gate.asking import Context
from bench.gate.file import ACROSS, RerankerGates
from bench.gate.quality import non_inferiority
from bench.gate.verdict import Gate
from bench.quality import statistics
from bench.records.measure import resolve_measure
from bench.records.rows import group_of


def ask(new: Side, baseline: Side, questions: RerankerGates, context: Context) -> Iterator[Gate]:
    """Yield a gate for each class of queries, by each field that the file names."""
    for field, margin in (questions.slices or {}).items():
        try:
            measure = resolve_measure(baseline.run, None, {baseline.trial.id})
            comparison = paired(new, baseline, measure, context.across, context.seed, ACROSS)
            slices = slices_of(
                new.run, group_of(new.trial), field, measure, list(comparison.deltas)
            )
        except BenchError as error:
            yield _not_judged(new, field, str(error))
            continue
        yield from _gates(comparison, field, margin, slices)


def _gates(
    comparison: Comparison, field: str, margin: float, slices: Sequence[Slice]
) -> Iterator[Gate]:
    judged = [piece for piece in slices if len(piece.queries) >= LEAST]
    if not judged:
        reason = f"no {LEAST} queries of the new run have the same {field}"
        yield _not_judged(comparison.new, field, reason)
    notes: list[str] = []
    small = [f"{piece.name} ({len(piece.queries)})" for piece in slices if piece not in judged]
    if small:
        notes.append(f"fewer than {LEAST} queries, not judged: {', '.join(small)}")
    without = len(comparison.deltas) - sum(len(piece.queries) for piece in slices)
    if without and slices:
        notes.append(f"{counted(without, 'query')} without a {field}, not judged")
    for number, piece in enumerate(judged):
        gate = _gate(comparison, field, margin, piece)
        if number == 0 and notes:
            # the first class names what is not judged
            numbers = {**gate.numbers, "not_judged": small, "without_field": without}
            remark = "; ".join(filter(None, (gate.remark, *notes)))
            gate = replace(gate, remark=remark, numbers=numbers)
        yield gate


def _gate(comparison: Comparison, field: str, margin: float, piece: Slice) -> Gate:
    """Return the gate of one class. As over all queries, zeros alone fail, unless the baseline has
    no more, and a margin that is not below the baseline's mean on the class does not pass.
    """
    deltas = [comparison.deltas[query] for query in piece.queries]
    low, high, outcome = non_inferiority(deltas, margin)
    mean = sum(deltas) / len(deltas)
    smallest = statistics.smallest_margin(deltas)
    new = comparison.new.values(comparison.measure)
    old = comparison.baseline.values(comparison.measure)
    baseline_mean = sum(old[query] for query in piece.queries) / len(deltas)
    notes: list[str] = []
    if baseline_mean and not any(new[query] for query in piece.queries):
        outcome = "fail"
        notes.append("every query scores 0")
    elif margin >= baseline_mean and outcome == "pass":
        outcome = "inconclusive"
        notes.append(
            f"a margin of {margin:g} cannot be lost: the baseline's mean is {baseline_mean:.4f}"
        )
    if margin < smallest:
        queries = counted(len(deltas), "query")
        notes.append(f"{queries} support a margin of {smallest:.4f} at least")
    return Gate(
        trial=comparison.new.trial,
        name=f"quality {comparison.measure}, {field} {piece.name}",
        outcome=outcome,
        measured=f"{mean:+.4f} [{low:+.4f}, {high:+.4f}]",
        limit=f"> {-margin:g}",
        remark="; ".join(notes),
        numbers={
            "measure": comparison.measure,
            "field": field,
            "slice": piece.name,
            "margin": margin,
            "baseline_mean": baseline_mean,
            "difference": mean,
            "one_sided_low": low,
            "one_sided_high": high,
            "queries": len(deltas),
            "smallest_margin": smallest,
            "underpowered": margin < smallest,
            "not_judged": [],
        },
    )


def _not_judged(new: Side, field: str, reason: str) -> Gate:
    return Gate(new.trial, f"quality by {field}", "incomparable", remark=reason)
