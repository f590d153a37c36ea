"""The best pipeline inside a budget as a document: what was timed, and what was left out."""

from __future__ import annotations

from collections.abc import Iterator

from bench.latency.columns import needed
from bench.reports import cells, numbers
from bench.reports.document import Block, Bullets, Column, Document, Record, Row, Section, Table
from bench.tuning.outcome import Outcome, TimedPipeline

SHOWN = 12
"""Timed pipelines that a table shows; programs get all of them."""


def document(outcome: Outcome) -> Document:
    """Return a section with the timed pipelines, best first, and the answer in words."""
    lines = list(sentences(outcome))
    blocks: list[Block] = [table(outcome), Bullets([(line,) for line in lines])]
    pipelines = [_flat(pipeline, _verdict(outcome, pipeline)) for pipeline in outcome.timed]
    data: Record = {
        "outcome": outcome.verdict,
        "dataset": outcome.dataset,
        "measure": outcome.measure,
        "limits": str(outcome.limits),
        "calls": outcome.calls,
        "composed": outcome.pipelines,
        "beyond": outcome.beyond,
        "beaten": outcome.beaten,
        "pipelines": pipelines,
        "notes": lines,
    }
    section = Section("tuned", title(outcome), blocks)
    return Document("", [section], data=[data], records=pipelines)


def title(outcome: Outcome) -> str:
    return f"{outcome.measure} within {outcome.limits}: {outcome.dataset}"


def table(outcome: Outcome) -> Table:
    """Return the pipelines that were timed, best first."""
    columns = [
        Column(outcome.measure, outcome.measure, better="higher", priority=0),
        Column("p50", "p50 ms", better="lower", priority=2),
        Column("p95", "p95 ms", better="lower", priority=1),
        Column("usd", "$/1k", better="lower", priority=6),
        Column("queries", "queries", "distinct queries timed", priority=4),
        Column("verdict", "verdict", align="left", priority=1),
    ]
    rows = [
        Row(
            str(pipeline.chain),
            {
                outcome.measure: cells.mean(pipeline.candidate.quality),
                "p50": cells.duration(pipeline.p50_ms),
                "p95": cells.duration(pipeline.p95_ms),
                "usd": cells.money(pipeline.candidate.usd_per_1000),
                "queries": cells.count(pipeline.queries),
                "verdict": cells.text(_verdict(outcome, pipeline)),
            },
            kind="reranker",
        )
        for pipeline in outcome.timed[:SHOWN]
    ]
    return Table("pipeline", columns, rows, title(outcome))


def _verdict(outcome: Outcome, pipeline: TimedPipeline) -> str:
    for other, verdict in ((outcome.winner, "best"), (outcome.runner_up, "runner-up")):
        if other is not None and other.chain == pipeline.chain:
            return verdict
    p95_ms, p50_ms = outcome.limits.p95_ms, outcome.limits.p50_ms
    too_slow = p95_ms is not None and pipeline.p95_ms > p95_ms
    if too_slow or (p50_ms is not None and pipeline.p50_ms > p50_ms):
        return "too slow"
    return "beaten"


def sentences(outcome: Outcome) -> Iterator[str]:
    """Yield the answer, what was timed and what was not."""
    yield from _answer(outcome)
    yield (
        f"{outcome.pipelines} pipelines were composed from stored scores and "
        f"{len(outcome.timed)} were timed, in {outcome.calls} calls, those of single stages and "
        f"warm-ups among them."
    )
    if outcome.beyond:
        yield (
            f"Not timed: {outcome.beyond} whose forecast or cost is outside the limits, "
            f"{outcome.beaten} that are no better than what fits."
        )
    if len(outcome.timed) > SHOWN:
        yield f"The best {SHOWN} of the timed ones are shown; --format json has all of them."


def _answer(outcome: Outcome) -> Iterator[str]:
    winner, other, difference = outcome.winner, outcome.runner_up, outcome.difference
    if winner is None:
        if outcome.nearest is not None:
            times = f"p95 {numbers.milliseconds(outcome.nearest.p95_ms)} ms"
            yield f"Nothing fits. The nearest is {outcome.nearest.chain} ({times})."
        return
    yield (
        f"{winner.chain} has the best {outcome.measure} that fits, "
        f"{numbers.quality(winner.candidate.quality)}: p50 {numbers.milliseconds(winner.p50_ms)} "
        f"ms, p95 {numbers.milliseconds(winner.p95_ms)} ms over {winner.queries} queries that "
        "decided nothing before."
    )
    if winner.queries < needed(0.95):
        yield (
            f"A p95 needs {needed(0.95)} distinct queries: on {winner.queries} it is not known "
            "whether this one keeps to the limit."
        )
    if other is not None and difference is not None:
        yield (
            f"The runner-up, {other.chain}, is lower by {difference.mean:.4f} "
            f"{numbers.signed_interval(difference)}, p {numbers.p_value(difference.p)}. The "
            "winner was chosen on these queries: on others the difference may be smaller."
        )


def _flat(pipeline: TimedPipeline, verdict: str) -> Record:
    return {
        "pipeline": str(pipeline.chain),
        "quality": pipeline.candidate.quality,
        "p50_ms": pipeline.p50_ms,
        "p95_ms": pipeline.p95_ms,
        "queries_timed": pipeline.queries,
        "confirmed": pipeline.is_confirmed,
        "usd_per_1000_queries": pipeline.candidate.usd_per_1000,
        "verdict": verdict,
    }
