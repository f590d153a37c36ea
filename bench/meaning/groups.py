"""Groups of queries by a field of their file, such as their language."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.core.counting import counted
from bench.core.errors import DataError, nearest
from bench.core.note import Notes
from bench.datasets.lines import numbered_lines
from bench.datasets.rows import QUERY_ID, first_key, json_row


def groups_of(path: Path, field: str) -> Mapping[str, str]:
    """Return query id -> the value of a field, from a file of queries as JSON lines.

    Raises DataError naming the line of a query that lacks the field.
    """
    groups: dict[str, str] = {}
    for number, line in numbered_lines(path, Notes()):
        row = json_row(path, number, line)
        key = first_key(row, QUERY_ID)
        if key is None:
            raise DataError.at(path, number, f"no query id: name it {QUERY_ID[0]}")
        if field not in row:
            problem = f"query '{row[key]}' has no field '{field}': {nearest(field, row)}"
            raise DataError.at(path, number, problem)
        groups[str(row[key])] = str(row[field])
    return groups


def refuse_missing(groups: Mapping[str, str], query_ids: Sequence[str], path: Path) -> None:
    """Raise DataError where a query of a run has no group."""
    missing = [query_id for query_id in query_ids if query_id not in groups]
    if missing:
        raise DataError(
            f"{path}: lacks {counted(len(missing), 'query')} of the run, such as '{missing[0]}': "
            "give the file of its dataset's queries"
        )
