"""The quality gate over queries that come in one after the other: a verdict as soon as it is
certain what all of them will say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from bench.comparison.pairs import Comparison, Side, paired
from bench.core.counting import counted
from bench.core.errors import IncomparableError
from bench.datasets.prepare import in_sample_order
from bench.gate.file import ACROSS
from bench.gate.quality import quality_gate
from bench.gate.verdict import Gate, Outcome
from bench.quality.betting import ERROR, Certain, certain
from bench.quality.measures import value_range

SAMPLED = (
    "dataset.queries",
    "dataset.queries_hash",
    "dataset.qrels_hash",
    "dataset.judgments",
    "candidates",
)
"""Fields of the quality key in which a sample of the queries differs from all of them."""


def sequential_gate(
    new: Side, baseline: Side, measure: str, margin: float, across: Sequence[str], seed: int
) -> Gate:
    """Return the quality gate. Where `new` has a part of the baseline's queries, what is certain of
    all of them, inconclusive where nothing is yet; else the verdict over all, and after how many
    queries it was certain.
    """
    if is_part(new, baseline):
        return _early(new, baseline, measure, margin, across, seed)
    gate = quality_gate(new, baseline, measure, margin, across, seed)
    if gate.outcome == "incomparable":
        return gate
    comparison = paired(new, baseline, measure, across, seed, ACROSS)
    return _with_certainty(gate, certainty(comparison, margin), len(comparison.deltas))


def is_part(new: Side, baseline: Side) -> bool:
    """Return whether a side has fewer queries than the baseline."""
    return new.record.counts.queries < baseline.record.counts.queries


def certainty(comparison: Comparison, margin: float) -> Certain | None:
    """Return when the verdict over all of the baseline's queries was certain, in the order in which
    a sequential check asks them. A margin that cannot be lost is never certain to pass.
    """
    order = in_sample_order(comparison.deltas, comparison.new.run.seed)
    deltas = [comparison.deltas[query] for query in order]
    low, high = value_range(comparison.measure)
    total = comparison.baseline.record.counts.queries
    verdict = certain(deltas, total, margin, high - low)
    if verdict is None or verdict.outcome == "fail":
        return verdict
    if margin >= _mean(comparison.baseline.values(comparison.measure)):
        return None
    return verdict


def _early(
    new: Side, baseline: Side, measure: str, margin: float, across: Sequence[str], seed: int
) -> Gate:
    name, limit = f"quality {measure}", f"> {-margin:g}"
    try:
        comparison = paired(new, baseline, measure, (*across, *SAMPLED), seed, ACROSS)
    except IncomparableError as error:
        return Gate(new.trial, name, "incomparable", limit=limit, remark=str(error))
    verdict = certainty(comparison, margin)
    outcome: Outcome = "inconclusive"
    after = None
    remark = "not certain yet"
    total = baseline.record.counts.queries
    queries = f"{len(comparison.deltas)} of {counted(total, 'query')}"
    if verdict is not None:
        outcome, after = verdict
        remark = f"certain after {after} of {counted(total, 'query')}; {queries} scored"
    return Gate(
        trial=new.trial,
        name=name,
        outcome=outcome,
        measured=f"{comparison.difference.mean:+.4f} ({queries})",
        limit=limit,
        remark=remark,
        numbers={
            "measure": measure,
            "margin": margin,
            "mean_of_part": comparison.mean,
            "baseline_mean_of_part": comparison.baseline_mean,
            "difference_of_part": comparison.difference.mean,
            "queries": len(comparison.deltas),
            "all_queries": total,
            "certain_after": after,
            "error": ERROR,
            "moved": dict(comparison.moved(5)),
        },
    )


def _with_certainty(gate: Gate, verdict: Certain | None, queries: int) -> Gate:
    after = None
    if verdict is not None and verdict.outcome == gate.outcome:
        after = verdict.queries
    numbers = {**gate.numbers, "certain_after": after, "error": ERROR}
    return replace(
        gate, numbers=numbers, remark=f"{gate.remark}; {_sentence(gate, verdict, queries)}"
    )


def _sentence(gate: Gate, verdict: Certain | None, queries: int) -> str:
    """Return after how many queries a verdict was certain."""
    total = counted(queries, "query")
    if verdict is None:
        return f"certain with all of the {total} only"
    if verdict.outcome != gate.outcome:
        return f"after {verdict.queries} of {total} a sequential check had said {verdict.outcome}"
    return f"certain after {verdict.queries} of {total}"


def _mean(values: Mapping[str, float]) -> float:
    return sum(values.values()) / max(1, len(values))
