"""Latency in full: each scenario with its intervals, and where the time of a call goes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from bench.latency.columns import Better as Preferred
from bench.latency.columns import Column as Number
from bench.latency.columns import Format, Interval
from bench.latency.sample import PARAMETERS, Condition, condition
from bench.latency.scenarios import AnyScenario, in_order, label, reader
from bench.latency.spans import ON_DEVICE
from bench.latency.summary import Summary, timed_calls
from bench.records import rows as records
from bench.records.rows import GroupKey
from bench.reports import cells, numbers
from bench.reports.cells import Cell
from bench.reports.charts import latency as chart
from bench.reports.document import (
    Better,
    Block,
    Code,
    Column,
    Figure,
    Paragraph,
    Row,
    Section,
    Table,
    Words,
)
from bench.reports.names import device_of, name_of
from bench.reports.sections.results import REQUEST_NOTE, WITHHELD
from bench.reports.view import View

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    Times = Mapping[tuple[str, Condition], NDArray[np.float64]]

EXPLANATION = (
    "Each dot is a timed call, warm-ups left out; the box is the middle half, the bar in it the "
    "median, the whiskers reach the 5th and the 95th percentile."
)
APART = "Scenarios are measured apart and never converted into one another."
PARTS = (
    "Median milliseconds and share of each part, taken in calls of their own: they need not add up "
    "to p50."
)
BETTER: Mapping[Preferred, Better] = {Preferred.LOWER: "lower", Preferred.HIGHER: "higher"}
LOAD = Column("load", "load", align="left", priority=1)
QUERIES = Column("queries", "queries", "distinct queries timed", priority=6)
CALLS = Column("calls", "calls", "timed calls, warm-ups left out", priority=8)


def latency(view: View) -> Section | None:
    """Return a chart and a table per scenario; a narrow terminal has them where the main table does
    not show these times.
    """
    times = _times(view.run.latency)
    figures = {group: _figures(view, group, times) for group in view.groups}
    in_main_table = all(is_in_main_table(row) for row in view.rows)
    explanation = Paragraph((APART,), quiet=True)
    return view.section("latency", "Latency", figures, explanation, folded=True, wide=in_main_table)


def parts(view: View) -> Section | None:
    """Return where the time of a call goes, a table per scenario."""
    groups = view.groups.items()
    tables = {group: part_tables(members, view.title(group)) for group, members in groups}
    explanation = Paragraph((PARTS,), quiet=True)
    title = "Where the time of a call goes"
    return view.section("parts", title, tables, explanation, folded=True, wide=True)


def is_in_main_table(row: records.Row) -> bool:
    """Return whether the main table has every scenario that was timed, if without intervals."""
    scenarios = [reader(of.scenario) for of in row.latency]
    return all(scenario.one_query or scenario.throughput for scenario in scenarios)


def table(name: str, members: Sequence[records.Row]) -> Table:
    """Return the numbers of one scenario, a row per reranker and condition."""
    scenario = reader(name)
    rows = []
    for row in members:
        for of, summary in row.latency.items():
            if of.scenario == name:
                rows.append(Row(row.name, _cells(row, summary), device_of(row.trial)))
    columns = [column for column in (LOAD, QUERIES, CALLS) if _has(column.key, rows)]
    for number in _numbers(scenario):
        is_headline = number in scenario.columns and not number.of_record
        if is_headline or _has(number.key, rows):
            columns.append(_column(number, scenario))
    caption = f"latency, scenario {name}, as numbers"
    return Table("reranker", columns, rows, caption, sortable=True)


def part_tables(members: Sequence[records.Row], title: str) -> list[Table]:
    """Return a table per scenario: median milliseconds and share of each part. That of `cold` ends
    with the memory of a process that holds nothing but this reranker.
    """
    names = in_order(_scenarios(row.parts for row in members))
    return [_part_table(name, members, title) for name in names]


def _scenarios(by_condition: Iterable[Iterable[Condition]]) -> list[str]:
    """Return the scenarios of rows' conditions."""
    names: list[str] = []
    for conditions in by_condition:
        names += [condition.scenario for condition in conditions]
    return names


def _figures(view: View, group: GroupKey, times: Times) -> list[Figure]:
    members = view.groups[group]
    names = in_order(_scenarios(row.latency for row in members))
    figures = [_figure(name, members, times, view) for name in names]
    if figures:
        figures[0] = replace(figures[0], reading=EXPLANATION)
    return figures


def _figure(name: str, members: Sequence[records.Row], times: Times, view: View) -> Figure:
    import numpy as np

    scenario = reader(name)
    strips = []
    blocks: list[Block] = [table(name, members)]
    for row in members:
        for of in row.latency:
            if of.scenario == name:
                label, suffix = name_of(row.trial), scenario.suffix(of)
                if suffix:
                    label = f"{label} · {suffix}"
                strips.append(chart.Strip(label, row, np.sort(times[row.trial.id, of]) / 1e6))
    if any(strip.row.query_elsewhere for strip in strips):
        blocks.append(Paragraph((REQUEST_NOTE,), quiet=True))
    title: Words = (Code(name),)
    if scenario.meaning:
        title = (Code(name), f": {scenario.meaning}")
    return Figure(title, chart.draw(name, strips, view.marks), blocks=blocks)


def _times(samples: pd.DataFrame) -> Times:
    """Return (trial, condition) -> the nanoseconds of its calls, without warm-ups."""
    if samples.empty:
        return {}
    calls = timed_calls(samples)
    times = calls.groupby(["trial", "scenario", *PARAMETERS], dropna=False)["nanoseconds"]
    return {(str(trial), condition(*of)): ns.to_numpy(dtype=float) for (trial, *of), ns in times}


def _numbers(scenario: AnyScenario) -> list[Number]:
    """Return the numbers of a scenario, each once."""
    return list(dict.fromkeys((*scenario.details, *scenario.columns)))


def _column(number: Number, scenario: AnyScenario) -> Column:
    """Return the column of a number. The first of the scenario's columns is its headline."""
    priority = 7
    if number in scenario.columns:
        priority = 2 * scenario.columns.index(number)
    better = BETTER[number.better]
    return Column(number.key, number.title, better=better, priority=priority, interval="value")


def _has(key: str, rows: Sequence[Row]) -> bool:
    return any(key in row.cells and row.cells[key].type != "missing" for row in rows)


def _cells(row: records.Row, summary: Summary) -> dict[str, Cell]:
    """Return the cells of one summary. Where its numbers are withheld, a word is in the place of
    the headline.
    """
    scenario, of = reader(summary.scenario), summary.condition
    by_column = {"calls": cells.count(summary.samples)}
    if scenario.count(summary.queries, summary.samples) == str(summary.queries):
        by_column["queries"] = cells.count(summary.queries)
    load = [part for part in (scenario.suffix(of), scenario.remark(of, row.timing)) if part]
    if load:
        by_column["load"] = cells.text(", ".join(load))
    if word := scenario.withheld(of, row.timing):
        return by_column | {scenario.columns[0].key: cells.missing(words=word)}
    recorded = scenario.recorded(row.timing)
    for number in _numbers(scenario):
        value = summary.of(number)
        if number.of_record:
            value = Interval(recorded.get(number.key))
        by_column[number.key] = _cell(number, value)
    return by_column


def _cell(number: Number, interval: Interval) -> Cell:
    if interval.value is None and number.needs > 1:
        return cells.missing(WITHHELD, "withheld")
    return FORMS[number.format](*interval)


def _part_table(name: str, members: Sequence[records.Row], title: str) -> Table:
    spans: dict[str, None] = {}
    rows = []
    numbers_of_record = reader(name).parts_columns
    for row in members:
        recorded = reader(name).recorded(row.timing)
        for of, pieces in row.parts.items():
            if of.scenario != name:
                continue
            spans |= dict.fromkeys(pieces)
            by_column = {"scenario": cells.text(label(of)), **_pieces(pieces)}
            for number in numbers_of_record:
                by_column[number.key] = _cell(number, Interval(recorded.get(number.key)))
            rows.append(Row(row.name, by_column, device_of(row.trial)))
    columns = [Column("scenario", "scenario", align="left", priority=1)]
    columns += [Column(span, span, better="lower", priority=2) for span in spans]
    columns += [Column(number.key, number.title) for number in numbers_of_record]
    return Table("reranker", columns, rows, f"where the time of a call goes, {name}, {title}")


def _pieces(pieces: Mapping[str, float]) -> dict[str, Cell]:
    """Return milliseconds and share of each part. What a device counts is in another part too."""
    total = sum(value for name, value in pieces.items() if name != ON_DEVICE)
    if not total:
        return {}

    def form(value: float) -> str:
        return f"{numbers.milliseconds(value)} ({numbers.share(value / total)})"

    return {name: cells.number("duration", form, value) for name, value in pieces.items()}


FORMS: Mapping[Format, Callable[..., Cell]] = {
    Format.MILLISECONDS: cells.duration,
    Format.RATE: cells.rate,
    Format.BYTES: cells.size,
}
