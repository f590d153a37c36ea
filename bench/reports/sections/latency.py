"""Latency in full: each scenario with its intervals, and where the time of a call goes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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
LOAD = Column("load", "load", align="left", priority=1)
QUERIES = Column("queries", "queries", "distinct queries timed", priority=6)
CALLS = Column("calls", "calls", "timed calls, warm-ups left out", priority=8)


def latency(view: View) -> Section | None:
    """Return a chart and a table per scenario; a narrow terminal has them where the main table does
    not show these times.
    """
    times = _times(view.run.latency)
    by_group: list[tuple[GroupKey, Sequence[Block]]] = []
    for group, members in view.groups.items():
        names = in_order(of.scenario for row in members for of in row.latency)
        figures = [_figure(name, members, times, view) for name in names]
        if figures:
            figures[0] = replace(figures[0], reading=EXPLANATION)
        by_group.append((group, figures))
    if not any(blocks for _, blocks in by_group):
        return None
    in_main_table = all(is_in_main_table(row) for row in view.rows)
    blocks: list[Block] = [Paragraph((APART,), quiet=True), *view.parts(by_group)]
    return Section("latency", "Latency", blocks, folded=True, wide=in_main_table)


def parts(view: View) -> Section | None:
    """Return where the time of a call goes, a table per scenario."""
    by_group: list[tuple[GroupKey, Sequence[Block]]] = []
    for group, members in view.groups.items():
        by_group.append((group, part_tables(members, view.title(group))))
    if not any(blocks for _, blocks in by_group):
        return None
    blocks: list[Block] = [Paragraph((PARTS,), quiet=True), *view.parts(by_group)]
    return Section("parts", "Where the time of a call goes", blocks, folded=True, wide=True)


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
    names = in_order(of.scenario for row in members for of in row.parts)
    return [_part_table(name, members, title) for name in names]


def _figure(name: str, members: Sequence[records.Row], times: Times, view: View) -> Figure:
    import numpy as np

    scenario = reader(name)
    strips = []
    is_hosted = False
    for row in members:
        for of in row.latency:
            if of.scenario == name:
                suffix = scenario.suffix(of)
                shown = f"{name_of(row.trial)} · {suffix}" if suffix else name_of(row.trial)
                strips.append((shown, row, np.sort(times[row.trial.id, of]) / 1e6))
                is_hosted |= row.query_elsewhere is not None
    title = (Code(name), f": {scenario.meaning}") if scenario.meaning else (Code(name),)
    blocks: list[Block] = [table(name, members)]
    if is_hosted:
        blocks.append(Paragraph((REQUEST_NOTE,), quiet=True))
    drawn = chart.draw(name, strips, view.marks)
    return Figure(title, drawn, blocks=blocks)


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
    better: Better = "lower" if number.better is Preferred.LOWER else "higher"
    return Column(number.key, number.title, better=better, priority=priority, interval="beside")


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
    load = ", ".join(
        part for part in (scenario.suffix(of), scenario.remark(of, row.timing)) if part
    )
    if load:
        by_column["load"] = cells.text(load)
    if word := scenario.withheld(of, row.timing):
        return by_column | {scenario.columns[0].key: Cell("missing", word)}
    recorded = scenario.recorded(row.timing)
    for number in _numbers(scenario):
        value = summary.of(number)
        if number.of_record:
            value = Interval(recorded.get(number.key))
        by_column[number.key] = _cell(number, value)
    return by_column


def _cell(number: Number, interval: Interval) -> Cell:
    if interval.value is None:
        return Cell("missing", "withheld", reason=WITHHELD) if number.needs > 1 else cells.missing()
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
    return {
        name: Cell("duration", f"{numbers.milliseconds(value)} ({value / total:.0%})", value)
        for name, value in pieces.items()
    }


def _bytes(size: float | None, *_: float | None) -> Cell:
    return cells.missing() if size is None else Cell("count", numbers.gib(size), size)


FORMS: Mapping[Format, Callable[..., Cell]] = {
    Format.MILLISECONDS: cells.duration,
    Format.RATE: cells.rate,
    Format.BYTES: _bytes,
}
