"""The rows of a documents file: JSON lines, ids and texts under the names that circulate."""

from __future__ import annotations

import math
import sys
from collections.abc import Collection
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from bench.core.errors import DataError
from bench.core.note import Code, Notes
from bench.datasets.lines import numbered_lines
from bench.datasets.rows import (
    DOCUMENT_ID,
    DOCUMENT_TEXT,
    BadRows,
    Row,
    field_text,
    first_key,
    json_row,
    json_type,
    row_id,
)

ALWAYS = ("text", "title")
"""Fields that become text whatever their type: every template may name them."""


@dataclass
class DocumentRows:
    """The documents of a file by id, each with its fields, and the rows that cannot be used."""

    path: Path
    documents: dict[str, dict[str, str]] = field(default_factory=dict)
    bad: BadRows = field(init=False)
    numbers: dict[str, dict[str, float]] = field(default_factory=dict)
    """Field -> document id -> value, of fields that are numbers and no text."""
    without_text: int = 0
    """Documents of which the template's `text` is missing, while another of its fields is there."""

    def __post_init__(self) -> None:
        self.bad = BadRows(self.path)

    def add_number(self, doc_id: str, key: str, value: float) -> None:
        """Take a numeric field. True and false are 1 and 0; what is not finite, or too large for 64
        bits, is no number.
        """
        try:
            number = float(value)
        except OverflowError:
            return
        if math.isfinite(number):
            self.numbers.setdefault(key, {})[doc_id] = number

    def check(self, needed: Collection[str], notes: Notes) -> None:
        """Raise DataError for a bad row that is needed, or where no document remains; count the
        others.
        """
        self.bad.refuse(needed)
        if not self.documents or not any(doc_id in self.documents for doc_id in needed):
            self.bad.refuse_any()
        if not self.documents:
            raise DataError(f"{self.path}: holds no documents")
        self.bad.note(notes, "documents")
        if self.without_text == len(self.documents):
            keys = set(chain.from_iterable(self.documents.values())) - {"text"}
            names = ", ".join(sorted(keys))
            notes.add(Code.NO_TEXT_FIELD, self.without_text, file=self.path.name, fields=names)


def read_documents(
    path: Path, notes: Notes, fields: Collection[str] = (), limit: int | None = None
) -> DocumentRows:
    """Return doc_id -> its fields, `text` always among them: strings, and what `fields` name as
    text. `limit` reads only the first rows.

    A document given twice alike is counted. Raises DataError for a row that is no JSON object, or a
    document given twice with different contents.
    """
    rows = DocumentRows(path)
    for number, line in numbered_lines(path, notes):
        row = json_row(path, number, line)
        id_key = first_key(row, DOCUMENT_ID) or DOCUMENT_ID[0]
        doc_id, problem = row_id(row.pop(id_key, None), id_key)
        document, odd = _fields(row, fields)
        problem = problem or odd
        if problem or doc_id is None:
            rows.bad.add(number, doc_id, problem)
            continue
        if "text" in fields and "text" not in row and not document["text"]:
            rows.without_text += 1
        if rows.documents.setdefault(doc_id, document) != document:
            problem = (
                f"document '{doc_id}' appears a second time, with other contents; ids must "
                "be unique"
            )
            raise DataError.at(path, number, problem)
        for key, value in row.items():
            if key not in document and isinstance(value, int | float):
                rows.add_number(doc_id, key, value)
        if rows.documents[doc_id] is not document:
            notes.add(Code.REPEATED_DOCUMENTS, 1, file=path.name)
        if limit is not None and len(rows.documents) >= limit:
            break
    return rows


def _fields(row: Row, fields: Collection[str]) -> tuple[dict[str, str], str]:
    """Return a document's fields, and what is wrong with them."""
    document: dict[str, str] = {}
    for key, value in row.items():
        if isinstance(value, str):
            document[sys.intern(key)] = value
        elif key in fields or key in ALWAYS:
            text = field_text(value)
            if text is None:
                expected = "a string, a number or a list of these"
                return {}, f"{key!r} must be {expected}, found {json_type(value)}"
            if text or key == "text":
                document[sys.intern(key)] = text
    if "text" in document:
        return document, ""
    text_key = first_key(document, DOCUMENT_TEXT)
    if text_key is not None:
        document["text"] = document[text_key]
    elif any(key in document for key in fields):
        document["text"] = ""
    else:
        keys = ", ".join(map(repr, row)) or "nothing else"
        return {}, f"there is no 'text' (found {keys})"
    return document, ""
