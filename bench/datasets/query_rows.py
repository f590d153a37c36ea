"""The rows of a queries file: id, tab, text, or JSON lines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bench.core.errors import DataError
from bench.core.note import Code, Notes
from bench.datasets.lines import LONE_RETURN, numbered_lines
from bench.datasets.rows import (
    QUERY_ID,
    QUERY_TEXT,
    BadRows,
    field_text,
    first_key,
    json_row,
    row_id,
)

JSON = ".jsonl"


@dataclass
class QueryRows:
    """The queries of a file by id, and the rows that cannot be used."""

    path: Path
    queries: dict[str, str] = field(default_factory=dict)
    fields: dict[str, dict[str, str]] = field(default_factory=dict)
    """Query id -> what else its row says, such as a language; of JSON lines alone."""
    bad: BadRows = field(init=False)

    def __post_init__(self) -> None:
        self.bad = BadRows(self.path)

    def check(self, judged: Mapping[str, object], notes: Notes) -> None:
        """Raise DataError for a bad row that somebody judged, or where no query remains; count the
        others.
        """
        self.bad.refuse(judged)
        if not self.queries:
            self.bad.refuse_any()
            raise DataError(f"{self.path}: holds no queries")
        self.bad.note(notes, "queries")


def read_queries(path: Path, notes: Notes) -> QueryRows:
    """Return query_id -> text. A query given twice alike is counted; raises DataError for one given
    twice with different texts.
    """
    rows = QueryRows(path)
    is_json = JSON in path.suffixes
    read = _json_cells if is_json else _tab_cells
    count = 0
    quoted = 0
    for number, what, value, text, others in read(path, notes):
        query_id, problem = row_id(value, what)
        if not problem and not text.strip():
            problem = f"query '{query_id}' has no text"
        if problem or query_id is None:
            rows.bad.add(number, query_id, problem)
            continue
        text = text.strip()
        if rows.queries.setdefault(query_id, text) != text:
            problem = (
                f"query '{query_id}' appears a second time, with another text; ids must be unique"
            )
            raise DataError.at(path, number, problem)
        if others:
            rows.fields[query_id] = others
        count += 1
        quoted += len(text) > 2 and text[0] == text[-1] == '"'
    notes.add(Code.REPEATED_QUERIES, count - len(rows.queries), file=path.name)
    if quoted == count and count > 1 and not is_json:
        rows.queries = {key.strip('"'): _unquoted(text) for key, text in rows.queries.items()}
        notes.add(Code.QUOTED_QUERIES, quoted, file=path.name)
    return rows


Cells = Iterator[tuple[int, str, object, str, dict[str, str]]]
"""A row's line, what its id is called, the id, the text and the other fields."""
LONGEST_FIELD = 60
"""Characters of a field that may be a class, such as a language; longer ones are texts."""


def short_fields(values: Mapping[str, object]) -> dict[str, str]:
    """Return the fields of a query that may part queries into classes, as text."""
    fields: dict[str, str] = {}
    for name, value in values.items():
        text = (field_text(value) or "").strip()
        if text and len(text) <= LONGEST_FIELD:
            fields[name] = text
    return fields


def _json_cells(path: Path, notes: Notes) -> Cells:
    for number, line in numbered_lines(path, notes):
        row = json_row(path, number, line)
        id_key = first_key(row, QUERY_ID) or QUERY_ID[0]
        value = row.pop(id_key, None)
        text = None
        text_key = first_key(row, QUERY_TEXT)
        if text_key:
            text = field_text(row.pop(text_key))
        yield number, id_key, value, text or "", short_fields(row)


def _tab_cells(path: Path, notes: Notes) -> Cells:
    is_first = True
    for number, line in numbered_lines(path, notes):
        query_id, tab, text = line.partition("\t")
        if not tab:
            problem = "expected a query id, a tab and the query's text; there is no tab"
            if "," in line:
                problem = f"{problem}; a file with commas: write it with tabs"
            raise DataError.at(path, number, problem)
        if "\r" in line:
            raise DataError.at(path, number, LONE_RETURN)
        if not (is_first and _is_header(query_id, text)):
            yield number, "query id", query_id, text, {}
        is_first = False


def _is_header(query_id: str, text: str) -> bool:
    names = [cell.strip(' "').lower() for cell in (query_id, text)]
    return names[0] in QUERY_ID and names[1] in QUERY_TEXT


def _unquoted(text: str) -> str:
    return text[1:-1].replace('""', '"').strip()
