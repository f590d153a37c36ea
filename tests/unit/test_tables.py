"""A run's tables come from anywhere: what they lack or cannot hold is one line that names file and
column.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from bench.core.errors import RecordError
from bench.records.cells import check_cells
from bench.records.tables import DEPTHS, LATENCY, PER_QUERY, SWEEP, read_table

ROWS = {"trial": ["t", "t"], "query": ["q1", "q2"], "measure": ["RR", "RR"], "value": [0.5, 1.0]}


def written(folder: Path, **changes: Any) -> Path:
    table = pd.DataFrame({**ROWS, **changes})
    path = folder / "per_query" / "t.parquet"
    path.parent.mkdir()
    table[[name for name in table if table[name].tolist() != [LEFT_OUT] * 2]].to_parquet(
        path, index=False
    )
    return path


LEFT_OUT = "left out"


@pytest.mark.parametrize(
    ("column", "cells", "message"),
    [
        ("value", [LEFT_OUT] * 2, "column 'value' is missing"),
        ("trial", [LEFT_OUT] * 2, "column 'trial' is missing"),
        ("value", ["a", "b"], "column 'value' holds cells that are no numbers"),
        ("value", [float("nan"), 1.0], "column 'value' holds cells that are no numbers"),
        ("value", [float("inf"), 1.0], "column 'value' holds cells that are no numbers"),
        ("value", [True, False], "column 'value' holds cells that are no numbers"),
        ("query", [1, 2], "column 'query' holds cells that are no text"),
        ("query", ["q1", None], "column 'query' holds cells that are no text"),
    ],
)
def test_a_column_that_cannot_be_used_is_named(
    column: str, cells: list[Any], message: str, tmp_path: Path
) -> None:
    written(tmp_path, **{column: cells})
    with pytest.raises(RecordError, match=message):
        read_table(tmp_path, PER_QUERY)


def test_a_curve_begins_at_depth_0_and_not_below(tmp_path: Path) -> None:
    (tmp_path / "depths").mkdir()
    for depth in (0, -3):
        rows = {**ROWS, "depth": [10, depth]}
        pd.DataFrame(rows).to_parquet(tmp_path / "depths" / "t.parquet", index=False)
        if depth == 0:
            assert read_table(tmp_path, DEPTHS)["depth"].tolist() == [10, 0]
    with pytest.raises(RecordError, match="'depth' holds a number below 0: -3 "):
        read_table(tmp_path, DEPTHS)


def test_nothing_is_timed_at_depth_0(tmp_path: Path) -> None:
    column = {"depth": SWEEP.columns["depth"]}
    frame = pd.DataFrame({"trial": ["t"], "depth": [0]})
    with pytest.raises(RecordError, match=r"'depth' holds a number below 1: 0 \(trial t\)"):
        check_cells(tmp_path / "x.parquet", frame, column)


def test_what_older_runs_lack_is_empty(tmp_path: Path) -> None:
    rows = {
        "trial": ["t"],
        "scenario": ["single"],
        "round": [0],
        "query": ["q"],
        "pairs": [5],
        "nanoseconds": [7],
        "span": ["total"],
    }
    path = tmp_path / "latency" / "t.parquet"
    path.parent.mkdir()
    pd.DataFrame(rows).to_parquet(path)
    table = read_table(tmp_path, LATENCY)
    assert LATENCY.names == tuple(table.columns)
    assert table["truncated"].isna().all()
    pd.DataFrame({**rows, "tokens": ["many"]}).to_parquet(path)
    with pytest.raises(RecordError, match="column 'tokens' holds"):
        read_table(tmp_path, LATENCY)


def test_a_call_of_one_query_names_its_query(tmp_path: Path) -> None:
    rows = {
        "trial": ["t", "t"],
        "scenario": ["offline", "single"],
        "round": [0, 0],
        "pairs": [5, 5],
        "nanoseconds": [7, 7],
        "span": ["total", "total"],
    }
    path = tmp_path / "latency" / "t.parquet"
    path.parent.mkdir()
    pd.DataFrame({**rows, "query": [None, "q"]}).to_parquet(path)
    assert len(read_table(tmp_path, LATENCY)) == 2
    for without in (rows, {**rows, "query": [None, None]}):
        pd.DataFrame(without).to_parquet(path)
        with pytest.raises(RecordError, match=r"'query' holds no query where its call has one"):
            read_table(tmp_path, LATENCY)


@pytest.mark.parametrize("cut", [0, 10, -1])
def test_a_damaged_table_is_one_line(cut: int, tmp_path: Path) -> None:
    path = written(tmp_path)
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(RecordError, match="cannot be read: ") as error:
        read_table(tmp_path, PER_QUERY)
    assert "\n" not in str(error.value)
    assert read_table(tmp_path / "none", PER_QUERY).empty


def test_no_single_byte_makes_a_table_raise_anything_else(tmp_path: Path) -> None:
    path = written(tmp_path)
    data = bytearray(path.read_bytes())
    for at in range(0, len(data), 7):
        path.write_bytes(bytes([*data[:at], data[at] ^ 0xFF, *data[at + 1 :]]))
        with suppress(RecordError):
            assert PER_QUERY.names == tuple(read_table(tmp_path, PER_QUERY).columns)
