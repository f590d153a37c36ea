"""A document for programs: its data, or the typed cells of its tables."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from bench.reports.document import Block, Card, Document, Figure, Fold, Grid, Row, Table


def render(document: Document) -> str:
    """Return the data of a document; of one without, its tables."""
    if document.data is not None:
        return as_json(document.data)
    sections = [
        {
            "key": section.key,
            "title": section.title,
            "tables": [_table(table) for table in tables(section.blocks)],
        }
        for section in document.sections
    ]
    return as_json({"title": document.title, "sections": sections})


def as_json(value: Any) -> str:
    """Return JSON that every parser and every terminal reads: plain ASCII, and numbers that JSON
    lacks are an error.
    """
    return json.dumps(value, indent=1, allow_nan=False)


def tables(blocks: Sequence[Block]) -> Iterator[Table]:
    """Yield the tables of blocks, those inside of other blocks too."""
    for block in blocks:
        if type(block) is Table:
            yield block
        inner = INNER.get(type(block))
        if inner:
            yield from tables(inner(block))


def _table(table: Table) -> dict[str, Any]:
    columns = [
        {"key": column.key, "title": column.title, "better": column.better or None}
        for column in table.columns
    ]
    absent = [
        {"name": row.name, "device": row.device, "status": row.status, "reason": row.reason}
        for row in table.absent
    ]
    return {
        "caption": table.caption,
        "columns": columns,
        "rows": [_row(row, table) for row in table.rows],
        "absent": absent,
        "notes": [note.full for note in table.notes],
    }


def _row(row: Row, table: Table) -> dict[str, Any]:
    cells = {column.key: row.cell(column.key).plain() for column in table.columns}
    return {"name": row.name, "device": row.device, "kind": row.kind, "cells": cells}


INNER: Mapping[type, Callable[[Any], Sequence[Block]]] = {
    Fold: lambda block: block.blocks,
    Card: lambda block: block.blocks,
    Grid: lambda block: block.blocks,
    Figure: lambda block: block.blocks,
}
