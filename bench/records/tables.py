"""The Parquet tables of a run, held to their columns when they are read: a run folder may come from
anywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.contract.request import Usage
from bench.core.errors import RecordError

if TYPE_CHECKING:
    import pandas as pd

TEXT = frozenset(
    {"trial", "query", "measure", "scenario", "span", "system", "dataset", "document", "text"}
)
NUMBERS = frozenset({"value", "depth", "round", "pairs", "nanoseconds", "grade"})
"""Columns without which a row says nothing. The others may hold nothing, or be absent from older
runs.
"""
SOMETIMES_NUMBERS = (
    frozenset({*(field.name for field in fields(Usage)), "batch_size", "token_budget", "threads"})
    - NUMBERS
)


def read_table(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """Return a table of the run, or an empty one with these columns when it was not written.

    Raises RecordError where it cannot be read, or lacks a column, or a column holds what it cannot.
    """
    import pandas as pd

    if not path.is_file():
        return pd.DataFrame(columns=list(columns))
    try:
        table = pd.read_parquet(path)
    except (MemoryError, ImportError):
        raise
    except Exception as error:  # pyarrow and pandas raise many kinds over damaged files
        reason = str(error).partition("\n")[0][:200]
        raise RecordError(f"{path}: cannot be read: {reason or type(error).__name__}") from error
    for column in columns:
        if column not in table.columns:
            if column in TEXT or column in NUMBERS:
                raise RecordError(f"{path}: column '{column}' is missing")
            table[column] = None
        elif problem := _problem(table[column], column):
            raise RecordError(f"{path}: column '{column}' holds {problem}")
    if "nanoseconds" in columns and not _are_times(table):
        raise RecordError(
            f"{path}: column 'nanoseconds' or 'pairs' holds numbers that no call can take"
        )
    return table[list(columns)]


def _are_times(table: pd.DataFrame) -> bool:
    """Whether calls took some time for some pairs. A part of a call may have taken none."""
    calls = table[table["span"] == "total"]
    return bool(
        (table["nanoseconds"] >= 0).all()
        and (calls["nanoseconds"] > 0).all()
        and (table["pairs"] > 0).all()
    )


def _problem(cells: Any, column: str) -> str | None:
    """What a column holds that it cannot, or None."""
    import numpy as np
    from pandas.api import types

    if not len(cells):
        return None
    if column in TEXT:
        is_text = types.infer_dtype(cells, skipna=False) == "string" and cells.notna().all()
        return None if is_text else "cells that are no text"
    is_number = types.is_numeric_dtype(cells) and not types.is_bool_dtype(cells)
    if column in NUMBERS:
        return (
            None
            if is_number and np.isfinite(cells.to_numpy(float, na_value=np.nan)).all()
            else "cells that are no numbers"
        )
    if column in SOMETIMES_NUMBERS:
        kinds = ("integer", "floating", "mixed-integer-float", "empty")
        return (
            None
            if is_number or types.infer_dtype(cells, skipna=True) in kinds
            else "cells that are no numbers"
        )
    return None
