"""The best pipeline inside a budget as a document: what was timed, and what was left out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from bench.core.counting import counted
from bench.core.wording import sentences as worded
from bench.latency.columns import needed
from bench.reports import cells, numbers
from bench.reports.cells import Cell
from bench.reports.composed import MARKED, left_out
from bench.reports.document import Block, Bullets, Column, Document, Record, Row, Section, Table
from bench.reports.names import as_sentence
from bench.reports.training_notes import training_notes
from bench.tuning.common import CommonPipeline, common_pipelines
from bench.tuning.outcome import Outcome, TimedPipeline

ESTIMATE = "~"
"""Before a p95 over too few queries."""
PROVISIONAL = (
    f"a provisional estimate over fewer than {needed(0.95)} queries, by which pipelines are dropped"
)
SMALLEST = 0.00005
"""Differences of means below this print as 0."""
SHOWN = 12
"""Timed pipelines that a table shows; programs get all of them."""


def document(outcomes: Sequence[Outcome]) -> Document:
    """Return a section per dataset with the timed pipelines, best first, and the answer in words;
    of several datasets, one more about a pipeline for all of them.
    """
    sections: list[Section] = []
    data: list[Record] = []
    records: list[Record] = []
    for number, outcome in enumerate(outcomes):
        lines = list(sentences(outcome))
        timed = outcome.timed[:SHOWN]
        lines += training_notes((MARKED, pipeline.candidate.seen) for pipeline in timed)
        blocks: list[Block] = [table(outcome), Bullets([(line,) for line in lines])]
        sections.append(Section(f"tuned{number or ''}", title(outcome), blocks))
        pipelines = [_flat(pipeline, _verdict(outcome, pipeline)) for pipeline in outcome.timed]
        data.append(_data(outcome, pipelines, lines))
        records += [_of_dataset(outcome, outcomes, pipeline) for pipeline in pipelines]
    if len(outcomes) > 1:
        pipelines_of_all = common_pipelines(outcomes)
        sections.append(_for_all(outcomes, pipelines_of_all))
        data.append(_data_for_all(outcomes, pipelines_of_all))
    return Document("", sections, data=data, records=records)


def _data(outcome: Outcome, pipelines: Sequence[Record], lines: Sequence[str]) -> Record:
    return {
        "outcome": outcome.verdict,
        "dataset": outcome.dataset,
        "measure": outcome.measure,
        "limits": str(outcome.limits),
        "calls": outcome.calls,
        "reused_timings": outcome.reused,
        "disturbances": worded(outcome.disturbances),
        "device": outcome.device,
        "composed": outcome.pipelines,
        "beyond": outcome.beyond,
        "beyond_forecast": outcome.too_slow,
        "beyond_cost": outcome.too_dear,
        "beaten": outcome.beaten,
        "left_out": [{"name": name, "reason": reason} for name, reason in outcome.left_out],
        "pipelines": list(pipelines),
        "notes": list(lines),
    }


def _of_dataset(outcome: Outcome, outcomes: Sequence[Outcome], pipeline: Record) -> Record:
    """Return a row of a table for programs: with its dataset, where there are several."""
    if len(outcomes) == 1:
        return pipeline
    return {"dataset": outcome.dataset, **pipeline}


def _for_all(outcomes: Sequence[Outcome], pipelines: Sequence[CommonPipeline]) -> Section:
    """Return the best pipeline for all datasets next to those that are the best on one."""
    columns = [
        Column(f"dataset{number}", outcome.dataset, outcome.measure, better="higher", priority=2)
        for number, outcome in enumerate(outcomes)
    ]
    columns.insert(0, Column("mean", f"mean {outcomes[0].measure}", better="higher", priority=0))
    columns.append(Column("verdict", "verdict", align="left", priority=1))
    best = [pipeline for pipeline in pipelines[:1] if pipeline.fits]
    chosen = [each for each in pipelines if each.best_on and each not in best]
    rows: list[Row] = []
    for pipeline in (*best, *chosen):
        by_column = {
            f"dataset{number}": cells.mean(quality)
            for number, quality in enumerate(pipeline.qualities)
        }
        by_column["mean"] = cells.mean(pipeline.mean)
        by_column["verdict"] = cells.text(_verdict_for_all(pipeline, pipeline in best))
        rows.append(Row(str(pipeline.chain), by_column, kind="reranker"))
    caption = f"one pipeline for all {len(outcomes)} datasets"
    lines = Bullets([(_answer_for_all(best, pipelines),)])
    return Section("for-all", caption, [Table("pipeline", columns, rows, caption), lines])


def _verdict_for_all(pipeline: CommonPipeline, is_best: bool) -> str:
    parts: list[str] = []
    if is_best:
        parts.append("best mean")
    if pipeline.best_on:
        parts.append(f"best on {' and '.join(pipeline.best_on)}")
    if not pipeline.fits:
        parts.append("not within the limits on each")
    return ", ".join(parts)


def _answer_for_all(best: Sequence[CommonPipeline], pipelines: Sequence[CommonPipeline]) -> str:
    if not pipelines:
        return "No pipeline could be composed on all of the datasets."
    if not best:
        return "No pipeline keeps to the limits on all of the datasets."
    (pipeline,) = best
    answer = (
        f"{pipeline.chain} has the best mean of the pipelines that keep to the limits on each "
        "dataset"
    )
    if not pipeline.forecast_on:
        return f"{answer}, as timed there."
    return (
        f"{answer}: by a forecast on {' and '.join(pipeline.forecast_on)}, where it was not timed."
    )


def _data_for_all(outcomes: Sequence[Outcome], pipelines: Sequence[CommonPipeline]) -> Record:
    names = [outcome.dataset for outcome in outcomes]
    rows: list[Record] = [
        {
            "pipeline": str(pipeline.chain),
            "mean_quality": pipeline.mean,
            "quality": dict(zip(names, pipeline.qualities, strict=True)),
            "fits": pipeline.fits,
            "forecast_on": list(pipeline.forecast_on),
            "best_on": list(pipeline.best_on),
        }
        for pipeline in pipelines
    ]
    return {"datasets": names, "measure": outcomes[0].measure, "pipelines": rows}


def title(outcome: Outcome) -> str:
    return f"{outcome.measure} within {outcome.limits}: {outcome.dataset}"


def table(outcome: Outcome) -> Table:
    """Return the pipelines that were timed, best first."""
    columns = [
        Column(outcome.measure, outcome.measure, better="higher", priority=0),
        Column("p50", "p50 ms", better="lower", priority=2),
        Column("p95", "p95 ms", f"{ESTIMATE} {PROVISIONAL}", better="lower", priority=1),
        Column("usd", "$/1k", better="lower", priority=6),
        Column("queries", "queries", "distinct queries timed", priority=4),
        Column("verdict", "verdict", align="left", priority=1),
    ]
    rows = [
        Row(
            str(pipeline.chain),
            {
                outcome.measure: _quality(pipeline),
                "p50": _duration(pipeline, pipeline.p50_ms),
                "p95": _p95(pipeline),
                "usd": cells.money(pipeline.candidate.usd_per_1000),
                "queries": cells.count(pipeline.queries),
                "verdict": cells.text(_verdict(outcome, pipeline)),
            },
            kind="reranker",
        )
        for pipeline in outcome.timed[:SHOWN]
    ]
    return Table("pipeline", columns, rows, title(outcome))


def _quality(pipeline: TimedPipeline) -> Cell:
    return cells.seen(cells.mean(pipeline.candidate.quality), pipeline.candidate.seen)


def _duration(pipeline: TimedPipeline, ms: float) -> Cell:
    if not pipeline.queries:
        return cells.missing("each call failed")
    return cells.duration(ms)


def _p95(pipeline: TimedPipeline) -> Cell:
    cell = _duration(pipeline, pipeline.p95_ms)
    if pipeline.is_p95_known or not pipeline.queries:
        return cell
    return replace(cell, text=f"{ESTIMATE}{cell.text}", reason=PROVISIONAL)


def _verdict(outcome: Outcome, pipeline: TimedPipeline) -> str:
    """Return the verdict on a pipeline; one by a provisional estimate says that it is."""
    is_sure = pipeline.is_confirmed
    if outcome.limits.p95_ms is not None:
        is_sure = is_sure and pipeline.is_p95_known
    for other, verdict in ((outcome.winner, "best"), (outcome.runner_up, "runner-up")):
        if other is not None and other.chain == pipeline.chain:
            return verdict if is_sure else f"{verdict}, not sure"
    if not pipeline.queries:
        return "failed"
    if not outcome.limits.allow_times(pipeline.p50_ms, pipeline.p95_ms):
        return "too slow" if is_sure else "looks too slow"
    return "beaten"


def sentences(outcome: Outcome) -> Iterator[str]:
    """Yield the answer, what was timed and what was not."""
    yield from _answer(outcome)
    for text in worded(outcome.disturbances):
        yield as_sentence(text)
    yield (
        f"Timed: {len(outcome.timed)} of {counted(outcome.pipelines, 'pipeline')} that the stored "
        f"scores allow, in {counted(outcome.calls, 'call')}, those of single stages and warm-ups "
        f"among them."
    )
    if outcome.reused:
        yield (
            f"{counted(outcome.reused, 'timing')} of an earlier call of this search, from its "
            f"folder's timed.json, stand for new ones: without that file all are taken anew."
        )
    reasons = {
        "whose forecast is outside the limits": outcome.too_slow,
        "whose cost is outside the limit or not known": outcome.too_dear,
        "that are no better than what fits": outcome.beaten,
    }
    parts = [f"{count} {reason}" for reason, count in reasons.items() if count]
    if parts:
        yield f"Not timed: {', '.join(parts)}."
    yield from left_out(outcome.left_out)
    if outcome.other_devices:
        others = ", ".join(outcome.other_devices)
        yield f"Timed on {outcome.device} alone: --device {others} is another search."
    if any(pipeline.queries and not pipeline.is_p95_known for pipeline in outcome.timed):
        yield f"{ESTIMATE}: {PROVISIONAL}. It is no p95."
    if len(outcome.timed) > SHOWN:
        yield f"The best {SHOWN} of the timed ones are shown; --format json has all of them."


def _answer(outcome: Outcome) -> Iterator[str]:
    winner, other, difference = outcome.winner, outcome.runner_up, outcome.difference
    if winner is None:
        if outcome.nearest is not None:
            yield f"Nothing fits. The nearest is {outcome.nearest.chain} ({_nearest(outcome)})."
        return
    is_sure = outcome.verdict == "fits"
    fits = "fits" if is_sure else "looks as if it fits"
    yield (
        f"{winner.chain} has the best {outcome.measure} that {fits}, "
        f"{numbers.quality(winner.candidate.quality)}: p50 {numbers.milliseconds(winner.p50_ms)} "
        f"ms, p95 {_p95(winner).text} ms over {winner.queries} queries that "
        "decided nothing before."
    )
    yield from _forecast(winner)
    yield from _share(winner)
    if not is_sure:
        yield (
            f"A p95 needs {needed(0.95)} distinct queries: on {winner.queries} it is not known "
            "whether this one keeps to the limit."
        )
    if other is None or difference is None:
        return
    if list(other.candidate.values) == list(winner.candidate.values):
        yield f"The runner-up, {other.chain}, has an equal {outcome.measure} on every query."
    elif abs(difference.mean) < SMALLEST:
        yield (
            f"The runner-up, {other.chain}, has the same mean {outcome.measure} "
            f"{numbers.signed_interval(difference)}, with other values on "
            f"{counted(difference.wins + difference.losses, 'query')}."
        )
    else:
        yield (
            f"The runner-up, {other.chain}, is lower by {difference.mean:.4f} "
            f"{numbers.signed_interval(difference)}, p {numbers.p_value(difference.p)}. The "
            "winner was chosen on these queries: on others the difference may be smaller."
        )
    yield from _forecast(other)


def _forecast(pipeline: TimedPipeline) -> Iterator[str]:
    """Yield how the forecast of a pipeline's median compares with the timed one."""
    if pipeline.p50_range is None:
        return
    place = "within" if pipeline.is_as_forecast else "outside"
    low, high = map(numbers.milliseconds, pipeline.p50_range)
    yield (
        f"{pipeline.chain}: the forecast of its p50, "
        f"{numbers.milliseconds(pipeline.candidate.forecast_p50_ms)} ms, is {place} the 95 % "
        f"interval of the timed one, {low} to {high} ms."
    )


def _share(pipeline: TimedPipeline) -> Iterator[str]:
    """Yield on which queries the share of a blend was learned."""
    tuning = pipeline.candidate.tuning
    if tuning is None:
        return
    first, second = tuning.queries
    yield (
        f"Its share was learned on {first} queries. The quality is of both halves of the queries, "
        f"each by the share that is best on the other ({first} and {second})."
    )


def _nearest(outcome: Outcome) -> str:
    """Return the times of what comes nearest, with what they rest on."""
    nearest = outcome.nearest
    if nearest is None or not nearest.queries:
        return "each of its calls failed"
    text = f"p50 {numbers.milliseconds(nearest.p50_ms)} ms, p95 {_p95(nearest).text} ms over "
    text += counted(nearest.queries, "query")
    if nearest.is_p95_known:
        return text
    return f"{text}, so that it is not sure that it does not fit"


def _flat(pipeline: TimedPipeline, verdict: str) -> Record:
    return {
        "pipeline": str(pipeline.chain),
        "quality": pipeline.candidate.quality,
        "p50_ms": pipeline.p50_ms if pipeline.queries else None,
        "p50_forecast_ms": pipeline.candidate.forecast_p50_ms,
        "p50_is_as_forecast": pipeline.is_as_forecast,
        "p95_ms": pipeline.p95_ms if pipeline.queries else None,
        "p95_is_known": pipeline.is_p95_known,
        "queries_timed": pipeline.queries,
        "confirmed": pipeline.is_confirmed,
        "usd_per_1000_queries": pipeline.candidate.usd_per_1000,
        "verdict": verdict,
    }
