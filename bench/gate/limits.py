"""Gates without statistics: failed queries, peak memory, cost. The last two have a maximum, a ratio
to the baseline, or both.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bench.comparison.pairs import Side
from bench.core.printable import one_line
from bench.gate.asking import Context
from bench.gate.file import CostGate, MemoryGate, RerankerGates
from bench.gate.verdict import Gate, Line, Outcome, worst

GIB = 2**30


def ask_failures(
    new: Side, baseline: Side, questions: RerankerGates, context: Context
) -> Iterator[Gate]:
    """Yield the gate of failed queries where the file asks for it."""
    if questions.failures is not None:
        yield failures_gate(new, questions.failures)


def ask_memory(
    new: Side, baseline: Side, questions: RerankerGates, context: Context
) -> Iterator[Gate]:
    """Yield the gate of peak memory where the file asks for it."""
    if questions.memory:
        yield memory_gate(new, baseline, questions.memory)


def ask_cost(
    new: Side, baseline: Side, questions: RerankerGates, context: Context
) -> Iterator[Gate]:
    """Yield the gate of cost where the file asks for it and the reranker bills something."""
    if questions.cost is None:
        return
    gate = cost_gate(new, baseline, questions.cost)
    if gate is not None:
        yield gate


def failures_gate(new: Side, limit: float) -> Gate:
    """The share of queries whose call failed: they score 0."""
    counts = new.record.counts
    share = counts.failed_share
    remark = ""
    if new.record.failures:
        reason = next(iter(new.record.failures.values()))
        remark = f"e.g. {one_line(reason)}"
    return Gate(
        trial=new.trial,
        name="failures",
        outcome=_at_most(share, limit),
        measured=f"{counts.failed} of {counts.called}",
        limit=f"≤ {limit:.3g}" if limit else "none",
        remark=remark,
        numbers={
            "failed": counts.failed,
            "queries": counts.queries,
            "share": share,
            "max_share": limit,
        },
    )


def memory_gate(new: Side, baseline: Side, question: MemoryGate) -> Gate:
    """Peak memory of the timed pass. All rerankers that a run timed were loaded together, so that a
    ratio needs the same ones in both.
    """
    peaks = _peaks(new)
    where = next((where for where, size in peaks.items() if size), None)
    if where is None:
        problem = "the new run was not timed: peak memory is taken in the timed pass"
        return Gate(new.trial, "memory", "incomparable", remark=problem)
    loaded = _timed(new)
    before: float | None = None
    problem = ""
    peak_before = _peaks(baseline)[where]
    if not peak_before:
        problem = "the baseline's timed pass tells no such peak"
    elif loaded != _timed(baseline):
        problem = "the two runs did not have the same rerankers loaded"
    else:
        before = peak_before / GIB
    together = ""
    if len(loaded) > 1:
        together = f"of {len(loaded)} rerankers loaded together"
    amount = Amount("memory", "GiB", (peaks[where] or 0) / GIB, before, problem, together)
    return _limited(new, amount, question.max_gib, question.ratio)


def _peaks(side: Side) -> dict[str, int | None]:
    """Return the peaks of the timed pass in bytes: the accelerator's, where there is one, first."""
    timing = side.record.latency or {}
    return {
        "accelerator": timing.get("gpu_allocated_bytes"),
        "process": timing.get("peak_rss_bytes"),
    }


def cost_gate(new: Side, baseline: Side, question: CostGate) -> Gate | None:
    """Dollars per 1,000 queries. None for a reranker that bills nothing."""
    ours, theirs = new.record.cost, baseline.record.cost
    if ours is None:
        usage = new.record.usage
        if theirs is None and not (usage.get("billed_units") or usage.get("calls")):
            return None
        problem = (
            "the new run has no cost: no price is known for what it bills, or it bills nothing "
            "any more"
        )
        return Gate(new.trial, "cost", "incomparable", remark=problem)
    before: float | None = None
    problem = "the baseline holds no cost"
    if theirs is not None:
        before, problem = theirs.usd_per_1000_queries, ""
    amount = Amount("cost", "USD per 1,000 queries", ours.usd_per_1000_queries, before, problem)
    return _limited(new, amount, question.max_usd, question.ratio)


@dataclass(frozen=True)
class Amount:
    """What a gate measures, and the baseline's; `problem` says why there is none to compare
    with.
    """

    name: str
    unit: str
    value: float
    before: float | None
    problem: str
    remark: str = ""


def _limited(new: Side, amount: Amount, maximum: float | None, ratio: float | None) -> Gate:
    """An amount against a maximum and against a ratio to the baseline."""
    outcomes: list[Outcome] = []
    limits: list[str] = []
    value_limit, ratio_limit = "", ""
    remarks: list[str] = []
    measured = f"{amount.value:.3g} {amount.unit}"
    times: float | None = None
    if amount.before:
        times = amount.value / amount.before
        measured += f" ({times:.2f}x)"
    if maximum is not None:
        outcomes.append(_at_most(amount.value, maximum))
        limits.append(f"≤ {maximum:g} {amount.unit}")
        value_limit = f"≤ {maximum:g}"
    if ratio is not None:
        ratio_limit = f"≤ {ratio:g}x"
        limits.append(ratio_limit)
        if amount.before is None:
            outcomes.append("incomparable")
        else:
            outcomes.append(_at_most(amount.value, ratio * amount.before))
        if amount.problem:
            remarks.append(amount.problem)
    lines = [Line(f"{amount.name}, {amount.unit}", f"{amount.value:.3g}", value_limit)]
    if times is not None:
        lines.append(Line(f"{amount.name}, ratio", f"{times:.2f}x", ratio_limit))
    elif ratio is not None:
        lines.append(Line(f"{amount.name}, ratio", "", ratio_limit))
    if amount.remark:
        remarks.append(amount.remark)
    return Gate(
        trial=new.trial,
        name=amount.name,
        outcome=worst(outcomes),
        measured=measured,
        limit=", ".join(limits),
        remark="; ".join(remarks),
        numbers={
            "found": amount.value,
            "baseline": amount.before,
            "ratio": times,
            "max": maximum,
            "max_ratio": ratio,
            "unit": amount.unit,
        },
        lines=lines,
    )


def _at_most(value: float, limit: float) -> Outcome:
    if value <= limit:
        return "pass"
    return "fail"


def _timed(side: Side) -> set[str]:
    records = side.run.records.values()
    rerankers = [record for record in records if record.trial.kind == "reranker"]
    return {record.trial.id for record in rerankers if record.latency}
