"""Gates without statistics: failed queries, peak memory, cost. The last two have a maximum, a ratio
to the baseline, or both.
"""

from __future__ import annotations

from bench.comparison.pairs import Side
from bench.core.printable import one_line
from bench.gate.file import CostGate, MemoryGate
from bench.gate.verdict import Gate, Outcome, worst

GIB = 2**30
MEMORY = ("gpu_allocated_bytes", "peak_rss_bytes")
"""Facts of the timed pass: the accelerator's peak where there is one, else the process's."""


def failures_gate(new: Side, most: float) -> Gate:
    """The share of queries whose call failed: they score 0."""
    counts = new.record.counts
    share = counts.failed_share
    reason = one_line(next(iter(new.record.failures.values()), ""))
    return Gate(
        trial=new.trial,
        name="failures",
        outcome="pass" if share <= most else "fail",
        found=f"{counts.failed} of {counts.called}",
        limit=f"≤ {most:.3g}" if most else "none",
        told=f"e.g. {reason}" if reason else "",
        numbers={
            "failed": counts.failed,
            "queries": counts.queries,
            "share": share,
            "max_share": most,
        },
    )


def memory_gate(new: Side, baseline: Side, asked: MemoryGate) -> Gate:
    """Peak memory of the timed pass. All rerankers that a run timed were loaded together, so that a
    ratio needs the same ones in both.
    """
    ours, theirs = new.record.latency or {}, baseline.record.latency or {}
    fact = next((name for name in MEMORY if ours.get(name)), None)
    if fact is None:
        return Gate(
            new.trial,
            "memory",
            "incomparable",
            told="the new run was not timed: peak memory is taken in the timed pass",
        )
    loaded = _timed(new)
    if not theirs.get(fact):
        problem = "the baseline's timed pass tells no such peak"
    else:
        problem = (
            ""
            if loaded == _timed(baseline)
            else "the two runs did not have the same rerankers loaded"
        )
    before = theirs[fact] / GIB if not problem else None
    together = f"of {len(loaded)} rerankers loaded together" if len(loaded) > 1 else ""
    return _limited(
        new,
        "memory",
        ours[fact] / GIB,
        before,
        (asked.max_gib, asked.ratio),
        "GiB",
        problem,
        together,
    )


def cost_gate(new: Side, baseline: Side, asked: CostGate) -> Gate | None:
    """Dollars per 1,000 queries. None for a reranker that bills nothing."""
    ours, theirs = new.record.cost, baseline.record.cost
    if ours is None:
        if theirs is None and not (
            new.record.usage.get("billed_units") or new.record.usage.get("calls")
        ):
            return None
        return Gate(
            new.trial,
            "cost",
            "incomparable",
            told="the new run has no cost: no price is known for what it bills, or it bills "
            "nothing any more",
        )
    before = theirs.usd_per_1000_queries if theirs else None
    problem = "" if theirs else "the baseline holds no cost"
    return _limited(
        new,
        "cost",
        ours.usd_per_1000_queries,
        before,
        (asked.max_usd, asked.ratio),
        "USD per 1,000 queries",
        problem,
    )


def _limited(
    new: Side,
    name: str,
    found: float,
    before: float | None,
    limits: tuple[float | None, float | None],
    unit: str,
    problem: str,
    told: str = "",
) -> Gate:
    """A value against a maximum and against a ratio to the baseline. `problem`: why there is no
    ratio.
    """
    most, ratio = limits
    times = found / before if before else None
    outcomes: list[Outcome] = []
    if most is not None:
        outcomes.append("pass" if found <= most else "fail")
    if ratio is not None and before is None:
        outcomes.append("incomparable")
    elif ratio is not None and before is not None:
        outcomes.append("pass" if found <= ratio * before else "fail")
    wanted = [
        f"≤ {most:g} {unit}" if most is not None else "",
        f"≤ {ratio:g}x" if ratio is not None else "",
    ]
    return Gate(
        trial=new.trial,
        name=name,
        outcome=worst(outcomes),
        found=f"{found:.3g} {unit}" + (f" ({times:.2f}x)" if times is not None else ""),
        limit=", ".join(filter(None, wanted)),
        told="; ".join(filter(None, [problem if ratio is not None else "", told])),
        numbers={
            "found": found,
            "baseline": before,
            "ratio": times,
            "max": most,
            "max_ratio": ratio,
            "unit": unit,
        },
    )


def _timed(side: Side) -> set[str]:
    records = side.run.records.values()
    rerankers = [record for record in records if record.trial.kind == "reranker"]
    return {record.trial.id for record in rerankers if record.latency}
