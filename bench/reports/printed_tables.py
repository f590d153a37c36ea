"""The main tables of a written report, read back from report.md and report.html."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import NamedTuple

ROWS_TITLE = "reranker"
INTERVAL = "95 %"
ALL_COLUMNS = "All columns"
"""The title below which report.md has a table with all of its columns."""
_BAR = re.compile(r"(?<!\\)\|")
_ESCAPED = re.compile(r"\\([\\`*\[\]<>|_$])")
_FOLD = re.compile(r"<details><summary>(.*)</summary>$")
_HEADING = re.compile(r"#{3,4} (.*?)(?: \([^()]*\))?$")


class PrintedCell(NamedTuple):
    """A cell as it is written: its value, its interval, and the number that a page sorts by; empty
    where it has none.
    """

    text: str
    interval: str = ""
    number: str = ""


@dataclass
class PrintedTable:
    """A table under a heading: row -> column -> cell."""

    title: str
    columns: list[str] = field(default_factory=list)
    rows: dict[str, dict[str, PrintedCell]] = field(default_factory=dict)


def markdown_tables(text: str) -> Iterator[PrintedTable]:
    """Yield the tables of rerankers of report.md, each with the heading above it."""
    title, heading_above = "", ""
    table: PrintedTable | None = None
    for line in text.splitlines():
        heading, fold = _HEADING.match(line), _FOLD.match(line)
        if heading:
            title = heading_above = plain(heading[1])
        elif fold:
            # another section, which has no heading; this one is of the table above it
            title = heading_above if fold[1] == ALL_COLUMNS else plain(fold[1])
        elif line == "</details>":
            title = heading_above
        if not line.startswith("| "):
            if table is not None:
                yield table
            table = None
            continue
        words = [plain(word.strip()) for word in _BAR.split(line)[1:-1]]
        if table is None:
            table = PrintedTable(title, words)
        elif set(words[0]) != {"-"}:
            _add_row(table, words)
    if table is not None:
        yield table


def plain(text: str) -> str:
    """Return Markdown as the text that it shows: without escapes, without marks of emphasis."""
    bare = re.sub(r"(?<!\\)\*{1,2}", "", text)
    return _ESCAPED.sub(r"\1", bare)


def _add_row(table: PrintedTable, words: list[str]) -> None:
    cells: dict[str, PrintedCell] = {}
    before = ""
    for column, word in zip(table.columns[1:], words[1:], strict=False):
        if column == INTERVAL:
            interval = word if word.startswith("[") else ""
            cells[before] = PrintedCell(cells[before].text, interval)
            continue
        value, bracket, rest = word.partition(" [")
        interval = f"[{rest}" if bracket else ""
        cells[column] = PrintedCell(value, interval)
        before = column
    table.rows[words[0]] = cells


def html_tables(text: str) -> Iterator[PrintedTable]:
    """Yield the main tables of report.html, each with the heading above it."""
    reader = _Reader()
    reader.feed(text)
    reader.close()
    yield from reader.tables


class _Reader(HTMLParser):
    """Collects the main tables of a page. Of a cell it takes the texts of its elements by their
    class: value, withheld (as value), below (the interval), device.
    """

    PARTS: Mapping[str, str] = {
        "value": "value",
        "withheld": "value",
        "below": "below",
        "device": "device",
        "mark": "",
        "hidden": "",
        "ref": "",
        "count": "",
        "id": "",
    }

    def __init__(self) -> None:
        super().__init__()
        self.tables: list[PrintedTable] = []
        self._title = ""
        self._table: PrintedTable | None = None
        self._texts: dict[str, str] = {}
        self._parts: list[str] = []
        self._number = ""
        self._words: list[PrintedCell] = []
        self._in_head = False
        self._is_reason = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        classes = values.get("class", "").split()
        if tag == "table" and "main" in classes:
            self._table = PrintedTable(self._title)
        if tag in ("h3", "h4", "th", "td"):
            self._texts, self._parts = {}, []
            self._number = values.get("data-sort", "") if tag == "td" else ""
            self._is_reason = "reason" in classes
        if tag == "thead":
            self._in_head = True
        if tag in ("span", "bdi", "a"):
            known = [self.PARTS[name] for name in classes if name in self.PARTS]
            outer = self._parts[-1] if self._parts else "name"
            self._parts.append(known[0] if known else outer)

    def handle_data(self, data: str) -> None:
        part = self._parts[-1] if self._parts else "name"
        self._texts[part] = self._texts.get(part, "") + data

    def handle_endtag(self, tag: str) -> None:
        if tag in ("span", "bdi", "a") and self._parts:
            self._parts.pop()
        elif tag in ("h3", "h4"):
            self._title = self._texts.get("name", "").strip()
        elif self._table is not None:
            actions: Mapping[str, Callable[[], None]] = {
                "th": self._end_of_head,
                "td": self._end_of_cell,
                "tr": self._end_of_row,
                "table": self._end_of_table,
            }
            if tag in actions:
                actions[tag]()
            if tag == "thead":
                self._in_head = False

    def _end_of_head(self) -> None:
        parts = (self._texts.get("name", ""), self._texts.get("device", ""))
        self._words.append(PrintedCell(" ".join(" ".join(parts).split())))

    def _end_of_cell(self) -> None:
        if self._is_reason:
            return
        interval = self._texts.get("below", "").strip()
        if not interval.startswith("["):
            interval = ""
        text = self._texts.get("value", "").strip()
        self._words.append(PrintedCell(text, interval, self._number))

    def _end_of_row(self) -> None:
        """Add the row, unless it has no cells: of what did not run, a page says why."""
        if self._table is not None and self._words:
            if self._in_head:
                self._table.columns = [word.text for word in self._words]
            elif len(self._words) > 1:
                names = self._table.columns[1:]
                cells = dict(zip(names, self._words[1:], strict=False))
                self._table.rows[self._words[0].text] = cells
        self._words = []

    def _end_of_table(self) -> None:
        if self._table is not None:
            self.tables.append(self._table)
        self._table = None
