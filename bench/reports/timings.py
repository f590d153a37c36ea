"""The latency of a group in full, as lines of text for any report: each scenario with its
intervals, and where the time goes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench.latency.columns import P50, P95, PAIRS_PER_S, PER_PAIR, Column, Interval
from bench.latency.sample import Condition
from bench.latency.scenarios import in_order, reader
from bench.latency.scenarios import label as named
from bench.latency.spans import ON_DEVICE
from bench.latency.summary import Summary
from bench.records.rows import Row
from bench.reports import numbers

REQUEST_MARK = "ʳ"
"""Beside the latency of a hosted service in a table that holds others' too."""
REQUEST_NOTE = (
    f"{REQUEST_MARK} request: through a network to another machine; not comparable "
    "with the rows timed here"
)
STANDARD = (P50, P95, PER_PAIR, PAIRS_PER_S)
"""Columns that the table of scenarios always has."""


def one_query(row: Row) -> Summary | None:
    """The row's latency with one query in flight, in whichever scenario it was taken."""
    return row.single or row.request


def marked(row: Row, value: float | None) -> str:
    """Milliseconds for the main table, marked where they are those of a `request`."""
    text = numbers.milliseconds(value)
    return f"{text}{REQUEST_MARK}" if row.request and value is not None else text


def full(members: Sequence[Row], label: Mapping[str, str]) -> list[Sequence[str]]:
    """Return header and a line per trial and condition, with 95 % intervals; pairs/s with its
    slowest and fastest round; what only some machines report, such as energy, where one did.

    `label` is by trial id. Empty where nothing was timed.
    """
    columns = _columns(members)
    lines: list[Sequence[str]] = []
    for row in members:
        for summary in row.latency.values():
            lines.append((label[row.trial.id], *_line(row, summary, columns)))
    head = ("reranker", "scenario", "queries", *(column.title for column in columns))
    return [head, *lines] if lines else []


def _columns(members: Sequence[Row]) -> list[Column]:
    """Return the standard columns, and those of the scenarios in which some row has a value."""
    columns = list(STANDARD)
    for name in in_order(of.scenario for row in members for of in row.latency):
        for column in reader(name).columns:
            values = (_value(row, summary, column) for row, summary in _timed(members, name))
            if column not in columns and any(value.value is not None for value in values):
                columns.append(column)
    return columns


def _timed(members: Sequence[Row], scenario: str) -> list[tuple[Row, Summary]]:
    """Return the summaries of a scenario, each with its row."""
    timed = []
    for row in members:
        for of, summary in row.latency.items():
            if of.scenario == scenario:
                timed.append((row, summary))
    return timed


def _value(row: Row, summary: Summary, column: Column) -> Interval:
    if column.of_record:
        return Interval(reader(summary.scenario).recorded(row.timing).get(column.key))
    return summary.of(column)


def _line(row: Row, summary: Summary, columns: Sequence[Column]) -> Sequence[str]:
    """Return the cells of a summary from its scenario on. Where numbers are withheld, a word stands
    in the first column.
    """
    scenario = reader(summary.scenario)
    cells = []
    for column in columns:
        cell = numbers.NOTHING
        if column in scenario.columns:
            cell = numbers.ranged(*_value(row, summary, column), numbers.form(column.format))
        cells.append(cell)
    if word := scenario.withheld(summary.condition, row.timing):
        cells = [word, *[numbers.NOTHING] * (len(columns) - 1)]
    count = scenario.count(summary.queries, summary.samples) or numbers.NOTHING
    return (named(summary.condition, row.timing), count, *cells)


def about(rows: Sequence[Row], members: Sequence[Row], label: Mapping[str, str]) -> str:
    """Whom a note is about: the rows by name, or all that were timed."""
    timed = [row for row in members if row.latency]
    return (
        "every timed row"
        if len(timed) > 1 and list(rows) == timed
        else ", ".join(label[row.trial.id] for row in rows)
    )


def parts(members: Sequence[Row], label: Mapping[str, str]) -> list[list[Sequence[str]]]:
    """Return tables of where the time of a call goes, header first: median milliseconds and share
    of each part, a table per scenario. That of `cold` ends with the memory of a process that holds
    nothing but this reranker.
    """
    tables: dict[str, list[tuple[Row, Condition, Mapping[str, float]]]] = {}
    for row in members:
        for of, pieces in row.parts.items():
            tables.setdefault(of.scenario, []).append((row, of, pieces))
    return [_parts(name, tables[name], label) for name in in_order(tables)]


def _parts(
    scenario: str,
    timed: Sequence[tuple[Row, Condition, Mapping[str, float]]],
    label: Mapping[str, str],
) -> list[Sequence[str]]:
    names = list(dict.fromkeys(name for _, _, pieces in timed for name in pieces))
    columns = reader(scenario).parts_columns
    titles = [column.title for column in columns]
    lines: list[Sequence[str]] = [("reranker", "scenario", *names, *titles)]
    for row, of, pieces in timed:
        total = sum(value for name, value in pieces.items() if name != ON_DEVICE)
        values = reader(scenario).recorded(row.timing)
        lines.append(
            (
                label[row.trial.id],
                named(of),
                *(_part(pieces.get(name), total) for name in names),
                *(numbers.form(column.format)(values.get(column.key)) for column in columns),
            )
        )
    return lines


def _part(value: float | None, whole: float) -> str:
    return (
        f"{numbers.milliseconds(value)} ({value / whole:.0%})"
        if value is not None and whole
        else numbers.NOTHING
    )


def has_requests(members: Sequence[Row]) -> bool:
    return any(row.request for row in members)


def is_plain(members: Sequence[Row]) -> bool:
    """Whether the main table already shows every scenario that was timed, if without intervals."""
    scenarios = [reader(of.scenario) for row in members for of in row.latency]
    return all(scenario.one_query or scenario.throughput for scenario in scenarios)
