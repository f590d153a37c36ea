"""A table's columns in plain text: intervals get a column of their own, or are next to their
values.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from bench.reports import numbers
from bench.reports.document import Column, Row, Table

INTERVAL = "95 %"
INTERVAL_PRIORITY = 5

Part = Literal["value", "interval", "both"]


@dataclass(frozen=True)
class TextColumn:
    """A column as text, and which part of its cells it shows."""

    column: Column
    part: Part

    def text(self, row: Row) -> str:
        cell = row.cell(self.column.key)
        if self.part == "interval":
            return cell.interval or numbers.NOTHING
        value = f"{cell.text}{cell.sign}"
        if self.part == "both" and cell.interval:
            return f"{value} {cell.interval}"
        return value


def in_full(table: Table) -> list[TextColumn]:
    """Return every column of a table."""
    columns = []
    several = sum(column.interval == "own" for column in table.columns) > 1
    for column in table.columns:
        part: Part = "both" if column.interval == "value" else "value"
        columns.append(TextColumn(column, part))
        if column.interval == "own":
            # one title for two columns would not say which of them is left out
            title = f"{column.title} {INTERVAL}" if several else INTERVAL
            interval = replace(column, title=title, priority=INTERVAL_PRIORITY)
            columns.append(TextColumn(interval, "interval"))
    return columns


def in_short(table: Table) -> list[TextColumn]:
    """Return the columns of a comment: without details, the intervals next to their values."""
    columns = []
    for column in table.columns:
        part: Part = "value" if column.interval == "page" else "both"
        if not column.detail:
            columns.append(TextColumn(column, part))
    return columns
