"""Run folders of schema version 1, as today's code reads them. A table was one file of all trials,
and some values were packed into one string.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, get_args

from bench.contract.trial import System
from bench.rerankers.options import Runtime

if TYPE_CHECKING:
    import pyarrow as pa

SEPARATOR = "~"
"""Stood between a trial's id and the number format and runtime in which it was scored again."""
RUNTIMES = get_args(Runtime)
_SYSTEM_COLUMN: Mapping[str, str] = {"depths": "trial", "sweep": "system"}


def table(name: str, data: pa.Table) -> pa.Table:
    """Return a table with its packed values in columns of their own."""
    import pyarrow as pa

    packed = _SYSTEM_COLUMN.get(name)
    if packed not in data.column_names:
        return data
    if data[packed].null_count or not _is_text(data[packed].type):
        return data
    systems = [_system(cell) for cell in data[packed].to_pylist()]
    data = data.drop_columns([packed])
    columns: dict[str, list[Any]] = {
        "system_dtype": [system.dtype for system in systems],
        "system_runtime": [system.runtime for system in systems],
    }
    if packed == "trial":
        columns["trial"] = [system.trial for system in systems]
    for column, cells in columns.items():
        data = data.append_column(column, pa.array(cells, "string"))
    return data


def _system(text: str) -> System:
    """The parts of `trial~dtype~runtime`, of which the last two were there where they differed from
    the trial's own.
    """
    trial, *changes = text.split(SEPARATOR)
    runtime = next((change for change in changes if change in RUNTIMES), None)
    dtype = next((change for change in changes if change not in RUNTIMES), None)
    return System(trial, dtype, runtime)


def _is_text(kind: Any) -> bool:
    from pyarrow import types

    return bool(types.is_string(kind) or types.is_large_string(kind))
