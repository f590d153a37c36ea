"""Composed pipelines as a document: a table per dataset, and what to know of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from bench.composition.composed import ComposedPipeline, Composition
from bench.core.counting import counted
from bench.latency.columns import Interval
from bench.reports import cells
from bench.reports.cells import Cell
from bench.reports.document import Block, Bullets, Column, Document, Record, Row, Section, Table
from bench.reports.judges import Marked
from bench.reports.training_notes import training_notes

SHOWN = 20
"""Pipelines that a table shows; programs get all of them."""
FRONT = "front"
MARKED = "marked pipelines"
"""What is trained on the collection: a line of all their names would be a page."""
BASES = {
    "measured": "at timed depths",
    "interpolated": "between timed depths",
    "proportional": "in proportion to documents",
}
"""What a forecast is made from, by the worst of its stages."""


class Compositions(Marked[Composition]):
    """Compositions that a notebook shows as the command prints them."""

    def document(self) -> Document:
        return document(self)


def document(
    compositions: Sequence[Composition], *, frontier: bool = False, limit: int | None = SHOWN
) -> Document:
    """Return a section per dataset. `frontier`: the pipelines of the Pareto front alone."""
    sections: list[Section] = []
    data: list[Record] = []
    records: list[Record] = []
    for number, composition in enumerate(compositions):
        pipelines: Sequence[ComposedPipeline] = composition.pipelines
        if frontier:
            pipelines = [pipeline for pipeline in composition.pipelines if pipeline.on_front]
        lines = list(sentences(composition, len(pipelines), limit))
        best = pipelines[:limit]
        lines += training_notes((MARKED, pipeline.seen) for pipeline in best)
        blocks: list[Block] = [table(composition, best)]
        blocks.append(Bullets([(line,) for line in lines]))
        sections.append(Section(f"composed{number}", title(composition), blocks))
        rows = [row for row in flat(composition) if row[FRONT] or not frontier]
        about: Record = {"dataset": composition.dataset, "measure": composition.measure}
        data.append({**about, "queries": composition.queries, "pipelines": rows, "notes": lines})
        records += [{**about, **row} for row in rows]
    return Document("", sections, data=data, records=records)


def title(composition: Composition) -> str:
    queries = counted(composition.queries, "query")
    text = f"{composition.dataset}: {counted(len(composition.pipelines), 'pipeline')}, {queries}"
    if composition.limits.any:
        text += f", {composition.limits}"
    return text


def table(composition: Composition, pipelines: Sequence[ComposedPipeline]) -> Table:
    """Return the pipelines as rows: quality is of stored scores, times are forecasts."""
    measure = composition.measure
    is_timed = any(pipeline.latency for pipeline in pipelines)
    by_p95 = composition.limits.p95_ms is not None
    # where nothing costs anything, or no cost is known, a column of it says the least
    is_priced = any(pipeline.usd_per_1000 for pipeline in pipelines)
    usd = 4 if is_priced else 7
    columns = [
        Column(measure, measure, better="higher", priority=0),
        _times("p50", is_needed=is_timed and not by_p95),
        _times("p95", is_needed=is_timed and by_p95),
        Column("timed", "timed p50 ms", "end to end, where the run timed it", priority=3),
        Column(
            "as_forecast", "forecast", "against the interval of the timed p50", "left", priority=3
        ),
        Column("usd", "$/1k", better="lower", priority=usd),
        Column("pairs", "pairs", "documents scored per query, at most", priority=5),
        Column(
            FRONT, FRONT, "no other is better, faster and cheaper", "left", priority=2, needed=True
        ),
        Column("tuned", "weights", "left", align="left", priority=6),
    ]
    if not any(pipeline.tuning for pipeline in pipelines):
        columns = columns[:-1]
    if all(pipeline.timed is None for pipeline in pipelines):
        columns = [column for column in columns if column.key not in ("timed", "as_forecast")]
    rows = [_row(composition, pipeline) for pipeline in pipelines]
    return Table("pipeline", columns, rows, title(composition))


def _times(key: str, *, is_needed: bool) -> Column:
    priority = 1 if is_needed else 3
    meaning = "a forecast"
    title = f"~{key} ms"
    return Column(key, title, meaning, better="lower", priority=priority, needed=is_needed)


def _row(composition: Composition, pipeline: ComposedPipeline) -> Row:
    quality = cells.mean(pipeline.quality)
    if pipeline.estimate is not None:
        quality = cells.measure(pipeline.estimate)
    quality = cells.seen(quality, pipeline.seen)
    mark = ""
    if pipeline.on_front:
        mark = "●"
    by_column = {
        composition.measure: quality,
        "p50": _time(pipeline, 0),
        "p95": _time(pipeline, 1),
        "timed": _timed(pipeline),
        "as_forecast": cells.text(_place(pipeline)),
        "usd": cells.money(pipeline.usd_per_1000),
        "pairs": cells.count(pipeline.pairs),
        FRONT: cells.text(mark),
        "tuned": cells.text(_tuning(pipeline)),
    }
    return Row(pipeline.name, by_column, kind="reranker")


def _time(pipeline: ComposedPipeline, number: int) -> Cell:
    forecast = pipeline.latency
    if forecast is None or pipeline.is_untimed_search:
        return cells.missing("a stage was not timed")
    if pipeline.intervals is not None:
        interval: Interval = pipeline.intervals[number]
        return cells.duration(*interval, hosted=forecast.is_hosted)
    value = (forecast.p50_ms, forecast.p95_ms)[number]
    reason = f"{forecast.queries} distinct queries were timed"
    return cells.duration(value, hosted=forecast.is_hosted, reason=reason)


def _timed(pipeline: ComposedPipeline) -> Cell:
    if pipeline.timed is None:
        return cells.missing("the run did not time it")
    is_hosted = pipeline.latency is not None and pipeline.latency.is_hosted
    return cells.duration(*pipeline.timed, hosted=is_hosted)


def _place(pipeline: ComposedPipeline) -> str:
    """Return where the forecast of a median lies: within the interval of the timed one, outside,
    or nothing where one of them is not known.
    """
    if pipeline.is_as_forecast is None:
        return ""
    return "within" if pipeline.is_as_forecast else "outside"


def _tuning(pipeline: ComposedPipeline) -> str:
    """Return on how many queries weights were chosen, and on how many they are reported."""
    if pipeline.tuning is None:
        return ""
    first, second = pipeline.tuning.queries
    return f"tuned on {first}, reported on {second}, and the reverse"


def sentences(composition: Composition, count: int, limit: int | None) -> Iterator[str]:
    """Yield what to know of a composition."""
    if limit is not None and count > limit:
        yield f"The best {limit} of {count} are shown; --format csv or json has all of them."
    quality = "Quality is computed from stored scores, with the rules of a real run."
    if any(pipeline.latency for pipeline in composition.pipelines):
        yield (f"{quality} Times (~) are forecasts: the sum of stages that were timed one by one.")
    else:
        yield (
            f"{quality} No time is known: on the front is what no other beats in quality, in the "
            "documents that are scored per query (pairs) and in cost."
        )
    bases = {pipeline.latency.basis for pipeline in composition.pipelines if pipeline.latency}
    if "proportional" in bases:
        yield (
            "Where a row was timed at one depth, its time at others is taken in proportion to "
            "its documents: a latency.sweep times several depths, and gives intervals."
        )
    places = [_place(pipeline) for pipeline in composition.pipelines]
    timed = len(places) - places.count("")
    if timed:
        yield (
            f"The run timed {counted(timed, 'pipeline')} of these end to end: the forecast of the "
            f"p50 is within the 95 % interval of the timed one for {places.count('within')}, and "
            f"outside for {places.count('outside')}."
        )
    if composition.unsearched:
        names = ", ".join(composition.unsearched)
        yield (
            f"The search of {names} was not timed, and is in none of these times: "
            "latency: {first_stages: true} in the suite times it."
        )
    if composition.untimed:
        yield f"Not timed: {', '.join(composition.untimed)}."
    if any(pipeline.tuning for pipeline in composition.pipelines):
        yield (
            "Shares of blends and hybrids were chosen on one half of the queries and are reported "
            "on the other, for both halves."
        )
    if composition.beyond:
        yield f"Outside the limits, or not known to be inside: {composition.beyond} pipelines."
    yield from left_out(composition.left_out)


def left_out(reasons: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Yield why pipelines and rows could not be composed, each reason with the number of them."""
    names: dict[str, list[str]] = {}
    for name, reason in reasons:
        names.setdefault(reason, []).append(name)
    for reason, members in names.items():
        others = len(members) - 1
        more = f" and {others} more" if others else ""
        yield f"Left out, {reason}: {members[0]}{more}."


def flat(composition: Composition) -> list[Record]:
    """Return the pipelines as flat rows for programs: times and costs that are not known are
    null.
    """
    return [_flat(composition, pipeline) for pipeline in composition.pipelines]


def _flat(composition: Composition, pipeline: ComposedPipeline) -> Record:
    row: Record = {"pipeline": pipeline.name, "queries": composition.queries}
    row |= {name: float(values.mean()) for name, values in pipeline.values.items()}
    row |= {
        FRONT: pipeline.on_front,
        "pairs": pipeline.pairs,
        "usd_per_1000_queries": pipeline.usd_per_1000,
        "tuned_on": None,
    }
    if pipeline.tuning is not None:
        row["tuned_on"] = min(pipeline.tuning.queries)
    row |= dict.fromkeys(("p50_ms", "p95_ms", "p95_low_ms", "p95_high_ms", "forecast"))
    row |= dict.fromkeys(("timed_p50_ms", "timed_p50_low_ms", "timed_p50_high_ms", "p50_forecast"))
    if pipeline.timed is not None:
        row |= {
            "timed_p50_ms": pipeline.timed.value,
            "timed_p50_low_ms": pipeline.timed.low,
            "timed_p50_high_ms": pipeline.timed.high,
            "p50_forecast": _place(pipeline) or None,
        }
    if pipeline.latency is not None and not pipeline.is_untimed_search:
        row |= {
            "p50_ms": pipeline.latency.p50_ms,
            "p95_ms": pipeline.latency.p95_ms,
            "forecast": BASES[pipeline.latency.basis],
        }
    if pipeline.intervals is not None:
        row |= {"p95_low_ms": pipeline.intervals[1].low, "p95_high_ms": pipeline.intervals[1].high}
    if pipeline.estimate is not None:
        estimate = pipeline.estimate
        row |= {f"{composition.measure} low": estimate.low}
        row |= {f"{composition.measure} high": estimate.high}
    return row
