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
from bench.latency.sample import PARAMETERS
from bench.quality.measures import ROUNDING, value_range

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
    frozenset(
        {
            *(field.name for field in fields(Usage)),
            *PARAMETERS,
            "batch_size",
            "token_budget",
            "threads",
        }
    )
    - NUMBERS
)
NEVER_NEGATIVE = SOMETIMES_NUMBERS | {"depth"}
PLACE = ("trial", "measure", "query")
REPEAT = "the run is damaged, run its suite again"


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
            where = _cell(table, column)
            raise RecordError(f"{path}: column '{column}' holds {problem}{where}: {REPEAT}")
        if column in NEVER_NEGATIVE:
            _refuse(path, table, column, _below_zero(table[column]), "a number below 0")
    if "nanoseconds" in columns:
        _refuse(path, table, "nanoseconds", _takes_no_time(table), "a time that no call can take")
        _refuse(path, table, "pairs", table["pairs"] <= 0, "a number of pairs that no call has")
    if "measure" in columns:
        beyond = beyond_measure(table["measure"], table["value"])
        _refuse(path, table, "value", beyond, "a value that its measure cannot have")
    return table[list(columns)]


def beyond_measure(measures: pd.Series[str], values: pd.Series[float]) -> pd.Series[bool]:
    """Return which values lie beyond the range of their measure."""
    names = measures.astype("category")
    ranges = {name: value_range(str(name)) for name in names.cat.categories}
    lows = names.map({name: low for name, (low, _) in ranges.items()}).astype(float)
    highs = names.map({name: high for name, (_, high) in ranges.items()}).astype(float)
    return (values < lows - ROUNDING) | (values > highs + ROUNDING)


def _below_zero(cells: pd.Series[Any]) -> pd.Series[bool]:
    import pandas as pd

    return pd.to_numeric(cells).lt(0)


def _takes_no_time(table: pd.DataFrame) -> pd.Series[bool]:
    """Return which calls took no time, or less. A part of a call may have taken none."""
    times = table["nanoseconds"]
    return (times < 0) | ((times == 0) & (table["span"] == "total"))


def _refuse(
    path: Path, table: pd.DataFrame, column: str, wrong: pd.Series[bool], problem: str
) -> None:
    """Raise RecordError naming the first wrong cell's trial and query."""
    if wrong.any():
        row = table[wrong].iloc[0]
        raise RecordError(
            f"{path}: column '{column}' holds {problem}{_place(row, column)}: {REPEAT}"
        )


def _cell(table: pd.DataFrame, column: str) -> str:
    """Return where the first cell of a column is that is not finite, empty where all are."""
    import pandas as pd

    numbers = pd.to_numeric(table[column], errors="coerce").astype(float)
    wrong = ~numbers.abs().lt(float("inf"))
    if column in TEXT or not wrong.any():
        return ""
    return _place(table[wrong].iloc[0], column)


def _place(row: pd.Series[Any], column: str) -> str:
    """Return a cell with the trial, measure and query of its row, as far as it has them."""
    names = [f"{name} {row[name]}" for name in PLACE if name in row and name != column]
    return f": {row[column]} ({', '.join(names)})"


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
