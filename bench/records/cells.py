"""What the cells of a run's tables can hold: a run folder may come from anywhere."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from bench.core.errors import RecordError
from bench.latency.scenarios import reader
from bench.quality.measures import ROUNDING, value_range

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    import pyarrow as pa

TEXTS = ("string", "category")
PLACE = ("trial", "measure", "query")
REPEAT = "the run is damaged, run its suite again"


class Column(NamedTuple):
    """What a column holds, by the name that Arrow has for it, or `category`: text that repeats.
    One that is not required may lack cells, or be absent from older runs.
    """

    kind: str
    required: bool = True
    minimum: float = float("-inf")

    @property
    def type(self) -> pa.DataType:
        """Its type in Arrow: a dictionary of texts for a `category`."""
        import pyarrow as pa

        if self.kind == "category":
            return pa.dictionary(pa.int32(), pa.string())
        return pa.type_for_alias(self.kind)


def are_sound(data: pa.Table, columns: Mapping[str, Column]) -> bool:
    """Return whether cells are surely what their columns can hold. `check_cells` looks closer where
    this is false, and says what is wrong.
    """
    if "nanoseconds" in columns:
        return False
    for name, column in columns.items():
        if name not in data.column_names:
            if column.required:
                return False
        elif not _is_sound(data[name], column):
            return False
    return "measure" not in columns or _are_in_range(data)


def _is_sound(cells: pa.ChunkedArray, column: Column) -> bool:
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = cells.type
    if column.required and cells.null_count:
        return False
    if column.kind in TEXTS:
        if pa.types.is_dictionary(kind):
            names = [chunk.dictionary for chunk in cells.chunks]
            return kind.value_type == pa.string() and not any(own.null_count for own in names)
        return bool(kind == pa.string())
    if column.kind == "bool":
        return bool(pa.types.is_boolean(kind))
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        return False
    if column.required and not pc.all(pc.is_finite(cells), min_count=0).as_py():
        return False
    if column.minimum == float("-inf"):
        return True
    return not pc.any(pc.less(cells, column.minimum)).as_py()


def _are_in_range(data: pa.Table) -> bool:
    """Return whether each value is one that its measure can have."""
    import pyarrow.compute as pc

    for name in pc.unique(data["measure"]).to_pylist():
        low, high = value_range(name)
        values = data["value"].filter(pc.equal(data["measure"], name))
        bounds = pc.min_max(values).as_py()
        if bounds["min"] < low - ROUNDING or bounds["max"] > high + ROUNDING:
            return False
    return True


def check_cells(path: Path, frame: pd.DataFrame, columns: Mapping[str, Column]) -> None:
    """Raise RecordError naming the file, the column and, for a number, the trial and query of the
    first cell that its column cannot hold.
    """
    for name, column in columns.items():
        if name not in frame.columns:
            if column.required:
                raise RecordError(f"{path}: column '{name}' is missing")
            continue
        if problem := _problem(frame[name], column):
            where = "" if column.kind in TEXTS else _first_infinite(frame, name)
            raise RecordError(f"{path}: column '{name}' holds {problem}{where}: {REPEAT}")
        if column.minimum > float("-inf"):
            below = _below(frame[name], column.minimum)
            _refuse(path, frame, name, below, f"a number below {column.minimum:g}")
    if "nanoseconds" in columns:
        _refuse(path, frame, "nanoseconds", _takes_no_time(frame), "a time that no call can take")
        _refuse(path, frame, "pairs", frame["pairs"] <= 0, "a number of pairs that no call has")
        if "query" not in frame.columns:
            frame = frame.assign(query=None)
        _refuse(path, frame, "query", _lacks_query(frame), "no query where its call has one")
    if "measure" in columns:
        beyond = beyond_measure(frame["measure"], frame["value"])
        _refuse(path, frame, "value", beyond, "a value that its measure cannot have")


def beyond_measure(measures: pd.Series[str], values: pd.Series[float]) -> pd.Series[bool]:
    """Return which values lie beyond the range of their measure."""
    names = measures.astype("category")
    ranges = {name: value_range(str(name)) for name in names.cat.categories}
    lows = names.map({name: low for name, (low, _) in ranges.items()}).astype(float)
    highs = names.map({name: high for name, (_, high) in ranges.items()}).astype(float)
    return (values < lows - ROUNDING) | (values > highs + ROUNDING)


def _below(cells: pd.Series[Any], minimum: float) -> pd.Series[bool]:
    import pandas as pd

    return pd.to_numeric(cells).lt(minimum)


def _takes_no_time(table: pd.DataFrame) -> pd.Series[bool]:
    """Return which calls took no time, or less. A part of a call may have taken none."""
    times = table["nanoseconds"]
    return (times < 0) | ((times == 0) & (table["span"] == "total"))


def _lacks_query(table: pd.DataFrame) -> pd.Series[bool]:
    """Return which calls lack the query that their scenario draws whole in a bootstrap. A call that
    pools queries has none.
    """
    lacking = table["query"].isna()
    if "scenario" in table.columns:
        for name, rows in table[lacking].groupby("scenario"):
            lacking[rows.index] = reader(str(name)).clusters(rows).isna()
    return lacking


def _refuse(
    path: Path, table: pd.DataFrame, column: str, wrong: pd.Series[bool], problem: str
) -> None:
    """Raise RecordError naming the first wrong cell's trial and query."""
    if wrong.any():
        row = table[wrong].iloc[0]
        raise RecordError(
            f"{path}: column '{column}' holds {problem}{_place(row, column)}: {REPEAT}"
        )


def _first_infinite(table: pd.DataFrame, column: str) -> str:
    """Return where the first cell of a column is that is not finite, empty where all are."""
    import pandas as pd

    numbers = pd.to_numeric(table[column], errors="coerce").astype(float)
    wrong = ~numbers.abs().lt(float("inf"))
    if not wrong.any():
        return ""
    return _place(table[wrong].iloc[0], column)


def _place(row: pd.Series[Any], column: str) -> str:
    """Return a cell with the trial, measure and query of its row, as far as it has them."""
    names = [f"{name} {row[name]}" for name in PLACE if name in row and name != column]
    return f": {row[column]} ({', '.join(names)})"


def _problem(cells: Any, column: Column) -> str | None:
    """Return what a column holds that it cannot, or None."""
    if not len(cells):
        return None
    if column.kind in TEXTS:
        if not _is_text(cells, column):
            return "cells that are no text"
    elif column.kind == "bool":
        if not _is_of(cells, ("boolean", "empty")):
            return "cells that are neither true nor false"
    elif not _is_number(cells, column):
        return "cells that are no numbers"
    return None


def _is_text(cells: Any, column: Column) -> bool:
    from pandas.api import types

    kinds: tuple[str, ...] = ("string",)
    if cells.dtype == "category":
        if cells.isna().any():
            return False
        cells = cells.cat.categories.to_series()
    if not column.required:
        kinds = ("string", "empty")
        cells = cells[cells.notna()]
    return types.infer_dtype(cells, skipna=False) in kinds and bool(cells.notna().all())


def _is_number(cells: Any, column: Column) -> bool:
    import numpy as np
    from pandas.api import types

    is_number = types.is_numeric_dtype(cells) and not types.is_bool_dtype(cells)
    if column.required:
        return is_number and bool(np.isfinite(cells.to_numpy(float, na_value=np.nan)).all())
    return is_number or _is_of(cells, ("integer", "floating", "mixed-integer-float", "empty"))


def _is_of(cells: Any, kinds: tuple[str, ...]) -> bool:
    from pandas.api import types

    return types.infer_dtype(cells, skipna=True) in kinds
