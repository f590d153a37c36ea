"""The table of judgments as a mapping."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


def qrels_in(judged: pd.DataFrame) -> dict[str, dict[str, int]]:
    """Return query id -> document id -> grade of rows of the table `judgments`."""
    qrels: dict[str, dict[str, int]] = {}
    columns = (judged[name].tolist() for name in ("query", "document", "grade"))
    for query_id, doc_id, grade in zip(*columns, strict=True):
        qrels.setdefault(query_id, {})[doc_id] = int(grade)
    return qrels
