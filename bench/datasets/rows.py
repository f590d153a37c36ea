"""What rows of every kind share: JSON objects, ids under the names that circulate, rows that cannot
be used.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.core.errors import DataError
from bench.core.note import Code, Notes
from bench.core.printable import quoted
from bench.datasets.lines import LONE_RETURN, id_problem

DOCUMENT_ID = (
    "doc_id",
    "_id",
    "id",
    "docno",
    "docid",
    "document_id",
    "corpus-id",
    "corpus_id",
    "pid",
)
QUERY_ID = ("query_id", "_id", "id", "qid", "query-id", "topic_id", "topic", "number")
DOCUMENT_TEXT = ("text", "contents", "content", "body", "passage", "segment")
QUERY_TEXT = ("text", "query", "question", "title")


Row = dict[str, Any]
"""The object on a line of JSON."""


@dataclass(frozen=True)
class BadRow:
    """A row that cannot be used: its line, its id where it has one, what is wrong."""

    line: int
    id: str | None
    problem: str


class BadRows(list[BadRow]):
    """Rows of one file that cannot be used. One that somebody needs is an error, the others are
    counted.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path

    def add(self, line: int, row_id: str | None, problem: str) -> None:
        self.append(BadRow(line, row_id, problem))

    def refuse(self, needed: Container[str]) -> None:
        """Raise DataError for the first bad row whose id is needed."""
        for row in self:
            if row.id is not None and row.id in needed:
                raise DataError.at(self.path, row.line, row.problem)

    def refuse_any(self) -> None:
        """Raise DataError for the first bad row."""
        for row in self:
            raise DataError.at(self.path, row.line, row.problem)

    def note(self, notes: Notes, rows: str) -> None:
        """Count what was left out, and name the first. `rows` says what they are."""
        if self:
            first = self[0]
            file = self.path.name
            notes.add(
                Code.BAD_ROWS, len(self), text=first.problem, rows=rows, file=file, line=first.line
            )


def json_row(path: Path, number: int, line: str) -> Row:
    """Return the object on a line of JSON. Raises DataError for anything else, and for half a
    character.
    """
    try:
        row = json.loads(line, object_pairs_hook=_members)
    except _RepeatedName as error:
        raise DataError.at(path, number, f"{error}: a JSON object has each name once") from error
    except (ValueError, RecursionError) as error:
        raise DataError.at(
            path, number, f"not valid JSON: {error}{_array_hint(path, line)}"
        ) from error
    if not isinstance(row, dict):
        problem = f"expected a JSON object, found {json_type(row)}{_array_hint(path, line)}"
        raise DataError.at(path, number, problem)
    if "\\u" in line:
        _check_surrogates(path, number, row)
    return row


class _RepeatedName(ValueError):
    """An object has a name twice, with different values."""


def _members(pairs: list[tuple[str, Any]]) -> Row:
    members: Row = {}
    for name, value in pairs:
        if members.setdefault(name, value) is not value and members[name] != value:
            raise _RepeatedName(f"field {name!r} appears twice, with different values")
    return members


def _array_hint(path: Path, line: str) -> str:
    """Return how to come from one JSON value over many lines, or many on one line, to one object
    on each.
    """
    if "\r" in line:
        return f"; {LONE_RETURN}"
    if line.lstrip()[:1] == "[":
        return f"; each line must hold one object: jq -c '.[]' {path.name}"
    if line.strip() == "{":
        return f"; each line must hold one whole object: jq -c . {path.name}"
    return ""


def _check_surrogates(path: Path, number: int, row: Row) -> None:
    """Raise DataError for half a character: JSON can spell it, and no tokenizer and no file takes
    it.
    """
    for key, value in row.items():
        try:
            f"{key}{json.dumps(value, ensure_ascii=False)}".encode()
        except UnicodeEncodeError as error:
            problem = f"field {key!a} holds half a character (a lone surrogate)"
            raise DataError.at(path, number, problem) from error


def json_type(value: Any) -> str:
    """Return the type of a JSON value in plain words."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN, or a number that is too large"
    names = {
        dict: "an object",
        list: "a list",
        str: "a string",
        bool: "true or false",
        type(None): "null",
    }
    return names.get(type(value), "a number")


def first_key(row: Mapping[str, object], names: Sequence[str]) -> str | None:
    """Return the first of the names that the row has; None where it has none."""
    return next((name for name in names if name in row), None)


def row_id(value: Any, what: str) -> tuple[str | None, str]:
    """Return a row's id as a string, and what is wrong with it. Whole numbers become their digits;
    outer white space is cut.
    """
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if value is None:
        return None, f"there is no '{what}'"
    if not isinstance(value, str):
        return None, f"'{what}' must be a string, found {json_type(value)}"
    text = value.strip()
    problem = id_problem(text)
    if problem:
        return text or None, f"{what} {quoted(text)} {problem}"
    return sys.intern(text), ""


def field_text(value: Any) -> str | None:
    """Return a field as text: numbers as JSON writes them, lists joined by spaces, null as nothing;
    None for an object, and for what is no number or too large for one.
    """
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    if isinstance(value, list | tuple):
        return _joined(value)
    return None


def _joined(values: Iterable[Any]) -> str | None:
    texts = [field_text(value) for value in values]
    if any(text is None for text in texts):
        return None
    return " ".join(text for text in texts if text)
