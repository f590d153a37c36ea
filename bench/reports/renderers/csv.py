"""CSV that a spreadsheet may open: a name that it would run as a formula is a text in it."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

from bench.reports.document import Document

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a cell begins with that Excel, LibreOffice and Google Sheets compute; see OWASP, "CSV
Injection".
"""


def render(document: Document) -> str:
    """Return the records of a document as CSV."""
    return to_csv(document.records)


def to_csv(records: Sequence[Mapping[str, Any]]) -> str:
    """Return records as CSV, with a header: every key of any record, in the order of their first
    use.
    """
    keys: dict[str, None] = {}
    for record in records:
        keys |= dict.fromkeys(record)
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, list(keys), lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: guarded(value) for name, value in row.items()} for row in records)
    return buffer.getvalue()


def guarded(value: Any) -> Any:
    """Return the value, and a text that reads as a formula with an apostrophe before it. A lone
    sign stays, and so does a number.
    """
    if (
        isinstance(value, str)
        and len(value) > 1
        and value.startswith(_FORMULA)
        and not _is_number(value)
    ):
        return f"'{value}"
    return value


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
