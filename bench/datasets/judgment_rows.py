"""The rows of a judgments file: TREC's four columns, BEIR's three, two where all are relevant,
named columns, JSON lines.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.core.counting import counted
from bench.core.errors import DataError
from bench.core.note import Code, Notes
from bench.datasets.grades import GradeProblem, Grades, grade, is_number
from bench.datasets.lines import LONE_RETURN, numbered_lines
from bench.datasets.rows import json_row, row_id

GAP = re.compile(r"\s")

Qrels = dict[str, dict[str, int]]
Columns = Mapping[str, int]
"""Where a row has its query, its document and, except where all are relevant, its grade."""

COLUMNS: Mapping[int, Columns] = {
    2: {"query": 0, "document": 1},
    3: {"query": 0, "document": 1, "grade": 2},
    4: {"query": 0, "document": 2, "grade": 3},
}
"""By the number of columns, for files that do not name them."""
KINDS: Mapping[str, str] = {
    **dict.fromkeys(("query", "queryid", "qid", "topic", "topicid"), "query"),
    **dict.fromkeys(("document", "documentid", "docid", "docno", "doc"), "document"),
    **dict.fromkeys(("corpusid", "pid", "passageid", "did"), "document"),
    **dict.fromkeys(("score", "rel", "relevance", "relevancy", "grade", "label"), "grade"),
    **dict.fromkeys(("judgment", "judgement", "gain", "rating"), "grade"),
}
"""What columns are called, in lower case, without hyphens and underscores, and what they hold."""
EXPECTED = "query id, iteration, document id and grade (or without the iteration, or named columns)"
IMPLIED = 1
"""The grade of a judgment that names none."""


def read_qrels(path: Path, notes: Notes, grades: Grades | None = None) -> Qrels:
    """Return query_id -> doc_id -> grade, whole numbers or what `grades` make of a label. Negative
    ones are legal, as in TREC.

    A judgment given twice alike is counted. Raises DataError naming file and line.
    """
    qrels: Qrels = {}
    rows = 0
    ungraded = 0
    read = _json_cells if ".jsonl" in path.suffixes else _cells
    for number, query_cell, doc_cell, label in read(path, notes):
        query_id = _id(path, number, query_cell, "query id")
        doc_id = _id(path, number, doc_cell, "document id")
        ungraded += label is None
        try:
            value = IMPLIED if label is None else grade(label, grades)
        except GradeProblem as error:
            problem = str(error)
            if number == 1:
                columns = "query-id, corpus-id, score"
                problem = f"{problem}; if this line names the columns, name them {columns}"
            raise DataError.at(path, number, problem) from error
        before = qrels.setdefault(query_id, {}).setdefault(doc_id, value)
        if before != value:
            problem = (
                f"document '{doc_id}' is judged {value} for query '{query_id}', and {before} before"
            )
            raise DataError.at(path, number, problem)
        rows += 1
    if not qrels:
        raise DataError(f"{path}: holds no judgments")
    repeated = rows - sum(map(len, qrels.values()))
    notes.add(Code.REPEATED_JUDGMENTS, repeated, file=path.name)
    notes.add(Code.UNGRADED_JUDGMENTS, ungraded, file=path.name, grade=IMPLIED)
    return qrels


Judgments = Iterator[tuple[int, Any, Any, Any]]
"""A row's line, query id, document id and label; no label where the file has none."""


def _cells(path: Path, notes: Notes) -> Judgments:
    columns: Columns | None = None
    width = 0
    is_quoted = False
    for number, line in numbered_lines(path, notes):
        cells = _split(line)
        if columns is None:
            width = len(cells)
            is_quoted = _is_quoted(cells)
            columns = _named(cells)
            if columns is not None:
                continue
            columns = COLUMNS.get(width)
        if columns is None or len(cells) != width:
            expected = f"expected {EXPECTED}"
            if columns is not None:
                expected = f"expected {width} columns, as in the first line"
            problem = f"{expected}; found {counted(len(cells), 'column')}"
            if line.count(";") > 1:
                problem = f"{problem}; part them by tabs or commas in place of semicolons"
            if "\r" in line:
                problem = f"{problem}; {LONE_RETURN}"
            raise DataError.at(path, number, problem)
        if is_quoted:
            cells = [cell.strip('"') for cell in cells]
        label = None
        if "grade" in columns:
            label = cells[columns["grade"]]
        yield number, cells[columns["query"]], cells[columns["document"]], label


def _split(line: str) -> Sequence[str]:
    """Return a line's cells: parted by blanks, or by commas where every blank is next to one.

    A comma may also be an id of its own: `, 0 d1 1` has no empty cells.
    """
    cells = line.split()
    by_comma = [cell.strip() for cell in line.split(",")]
    if len(by_comma) == 1 or any(GAP.search(cell) for cell in by_comma):
        return cells
    if len(cells) > 1 and not all(by_comma):
        return cells
    return by_comma


def _is_quoted(cells: Sequence[str]) -> bool:
    """Return whether the first line has its words in quotes, as CSV writers put them."""
    words = [cell for cell in cells if not is_number(cell)]
    return len(words) > 1 and all(len(word) > 2 and word[0] == word[-1] == '"' for word in words)


def _named(cells: Sequence[str]) -> Columns | None:
    """Return where each column is, by a first line that names them; None for any other line."""
    columns: dict[str, int] = {}
    places: dict[str, int] = {}
    for place, cell in enumerate(cells):
        name = _plain(cell)
        first_place = places.setdefault(name, place)
        if name in KINDS:
            columns[KINDS[name]] = first_place
    if {"query", "document"} <= columns.keys() and not any(map(is_number, cells)):
        return columns
    return None


def _plain(name: str) -> str:
    return re.sub(r"[-_\"' ]", "", name).lower()


def _json_cells(path: Path, notes: Notes) -> Judgments:
    for number, line in numbered_lines(path, notes):
        row = json_row(path, number, line)
        keys = {KINDS[_plain(key)]: key for key in row if _plain(key) in KINDS}
        for kind in ("query", "document"):
            if kind not in keys:
                names = ", ".join(map(repr, row)) or "nothing"
                raise DataError.at(
                    path, number, f"names no {kind} (found {names}); write query_id, doc_id, score"
                )
        label = None
        if "grade" in keys:
            label = row[keys["grade"]]
        yield number, row[keys["query"]], row[keys["document"]], label


def _id(path: Path, number: int, value: Any, what: str) -> str:
    text, problem = row_id(value, what)
    if problem or text is None:
        raise DataError.at(path, number, problem)
    return text
