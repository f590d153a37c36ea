"""A part of a collection's queries, by their ids in a file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from bench.core.counting import counted
from bench.core.errors import DataError
from bench.datasets.base import Dataset


def restricted(dataset: Dataset, path: Path) -> Dataset:
    """Return a dataset with the queries of a file alone, and their judgments: an id a line, blank
    lines left out. Raises DataError for a file that cannot be read, that names no query, or one
    that the collection does not have.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{dataset.id}: only: {path}: cannot be read: {error}") from error
    wanted = {line.strip() for line in lines} - {""}
    if not wanted:
        raise DataError(f"{dataset.id}: only: {path.name} names no query")
    unknown = sorted(wanted - set(dataset.queries))
    if unknown:
        queries = counted(len(unknown), "query")
        raise DataError(
            f"{dataset.id}: only: {path.name} names {queries} that the collection does not have, "
            f"such as '{unknown[0]}'"
        )
    queries_of = {name: text for name, text in dataset.queries.items() if name in wanted}
    qrels = {name: grades for name, grades in dataset.qrels.items() if name in wanted}
    return replace(dataset, queries=queries_of, qrels=qrels)
