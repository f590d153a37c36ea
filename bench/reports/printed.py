"""Whether report.md and report.html print what the records hold: the main table of each group, cell
by cell.

A printed number is right where the record's rounds to it at the digits that are printed, so that a
version which writes other digits is not accused.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from bench.core.errors import RecordError
from bench.core.version import version
from bench.records.rows import GroupKey, Row, longest_of, measures_of
from bench.reports.cells import Cell
from bench.reports.document import labelled
from bench.reports.names import device_of, title_of
from bench.reports.printed_tables import (
    INTERVAL,
    ROWS_TITLE,
    PrintedCell,
    PrintedTable,
    html_tables,
    markdown_tables,
)
from bench.reports.sections.results import row_cells
from bench.verification.evidence import Evidence
from bench.verification.finding import Code, Finding, Ledger, Place, Reason

REPORTS: Mapping[str, Callable[[str], Iterator[PrintedTable]]] = {
    "report.md": markdown_tables,
    "report.html": html_tables,
}
SLACK = 1e-9
Expected = dict[str, dict[str, Cell]]
"""Row -> column -> cell."""
_NUMBER = re.compile(r"(?P<less><?)\s*(?P<number>[+-]?(?:\d[\d,]*)?(?:\.\d+)?(?:e[+-]?\d+)?)")


def check(evidence: Evidence, ledger: Ledger) -> None:
    """Compare the printed cells with those of the records."""
    run = evidence.run
    for name, tables_of in REPORTS.items():
        path = run.folder / name
        if run.info.status != "done":
            ledger.gap(Reason.UNFINISHED, name)
        elif not path.is_file():
            ledger.gap(Reason.NO_REPORT, name)
        else:
            with ledger.reading(name):
                printed = _printed(path, tables_of)
                for group, members in run.groups.items():
                    _group(evidence, group, members, name, printed, ledger)


def _printed(
    path: Path, tables_of: Callable[[str], Iterator[PrintedTable]]
) -> dict[str, list[PrintedTable]]:
    """Return title -> the tables of rerankers under it. Raises RecordError for no text."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise RecordError(f"{path}: cannot be read as a report") from error
    printed: dict[str, list[PrintedTable]] = {}
    for table in tables_of(text):
        if table.columns[:1] == [ROWS_TITLE]:
            printed.setdefault(_one_line(table.title), []).append(table)
    return printed


def _group(
    evidence: Evidence,
    group: GroupKey,
    members: Sequence[Row],
    file: str,
    printed: Mapping[str, Sequence[PrintedTable]],
    ledger: Ledger,
) -> None:
    done = [row for row in members if row.status == "done"]
    if not done:
        return
    title = _one_line(title_of(group, longest_of(members)))
    if title not in printed:
        if evidence.run.info.version == version():
            ledger.same(Code.NOT_PRINTED, Place(file, key=title), True, False)
        else:
            ledger.gap(Reason.OTHER_REPORT, file)
        return
    expected = _expected(members, done)
    for table in printed[title]:
        _table(expected, table, file, title, ledger)


def _expected(members: Sequence[Row], done: Sequence[Row]) -> Expected:
    measures = measures_of(members)
    expected: Expected = {}
    for row in done:
        label = _one_line(labelled(row.name, device_of(row.trial)))
        expected[label] = row_cells(row, measures, {})
    return expected


def _table(expected: Expected, table: PrintedTable, file: str, title: str, ledger: Ledger) -> None:
    for label in dict.fromkeys([*expected, *table.rows]):
        place = Place(file, key=f"{title}: {label}")
        if not ledger.same(Code.PRINTED_ROW, place, label in expected, label in table.rows):
            continue
        for column in table.columns[1:]:
            if column == INTERVAL:
                continue
            # a row may have lost the last of its cells
            printed = table.rows[label].get(column, PrintedCell(""))
            cell = expected[label].get(column)
            own = Place(file, key=f"{title}: {label}, {column}")
            ledger.compared += 1
            if not _agree(cell, printed):
                finding = Finding(Code.PRINTED, own, _written(cell), _as_written(printed))
                ledger.findings.append(finding)


def _agree(cell: Cell | None, printed: PrintedCell) -> bool:
    """Return whether a cell says what is printed: value, interval and the number it sorts by."""
    if cell is None or cell.number is None:
        return not _numbers(printed.text) and not printed.interval and not printed.number
    if printed.number and float(printed.number) != cell.number:
        return False
    if printed.interval and printed.interval != cell.interval:
        bounds = _numbers(printed.interval)
        if cell.low is None or cell.high is None or len(bounds) != 2:
            return False
        if not (_rounds(cell.low, bounds[0]) and _rounds(cell.high, bounds[1])):
            return False
    if printed.text == cell.text:
        return True
    values = _numbers(printed.text)
    scale = 100.0 if cell.type == "share" else 1.0
    return len(values) == 1 and _rounds(cell.number * scale, values[0])


def _numbers(text: str) -> list[tuple[str, str]]:
    """Return the numbers of a text, each with the sign that it is less than that."""
    matches = [match for match in _NUMBER.finditer(text) if match["number"].strip("+-")]
    return [(match["less"], match["number"].replace(",", "")) for match in matches]


def _rounds(value: float, printed: tuple[str, str]) -> bool:
    """Return whether a value is the printed number at its digits, or less where that is printed."""
    less, number = printed
    if less:
        return value < float(number)
    mantissa, _, exponent = number.partition("e")
    _, _, decimals = mantissa.partition(".")
    unit = 10.0 ** (int(exponent or 0) - len(decimals))
    return abs(value - float(number)) <= unit / 2 + SLACK


def _written(cell: Cell | None) -> str:
    if cell is None:
        return ""
    return " ".join(filter(None, (cell.text, cell.interval)))


def _as_written(printed: PrintedCell) -> str:
    text = " ".join(filter(None, (printed.text, printed.interval)))
    if printed.number:
        text += f" (sorted as {printed.number})"
    return text


def _one_line(text: str) -> str:
    return " ".join(text.split())
