"""CSV that a spreadsheet may open: a name that it would run as a formula is a text in it."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

from bench.core.spreadsheet import guarded
from bench.reports.document import Document


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
