"""What grows with queries is kept as numbers and written a stretch at a time, and reads as it
always did.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd
import pytest

from bench.contract.candidates import Candidates, Compact, QueryCandidates
from bench.core.errors import RecordError
from bench.records import growing as tables
from bench.records.folder import DEPTHS, PER_QUERY
from bench.records.tables import read_table

RANKINGS = {
    "q1": QueryCandidates(("d1", "d2"), (2.5, 1.0)),
    "q2": QueryCandidates((), ()),
    "q3": QueryCandidates(("d2",), (7.0,)),
}


def test_compact_rankings_are_the_mapping_that_they_were_made_of() -> None:
    compact = Compact(RANKINGS.items())
    assert compact == RANKINGS
    assert list(compact) == ["q1", "q2", "q3"]
    assert (len(compact), compact.documents) == (3, 3)
    assert "q2" in compact
    assert compact.get("q9") is None
    with pytest.raises(KeyError):
        compact["q9"]


def test_candidates_are_kept_compact_with_the_hash_that_they_had() -> None:
    candidates = Candidates(RANKINGS, 2, {})
    assert isinstance(candidates.by_query, Compact)
    assert candidates.by_query == RANKINGS
    assert candidates.hash == Candidates(Compact(RANKINGS.items()), 2, {}).hash


def test_a_million_candidates_are_no_million_objects() -> None:
    names = [f"d{i}" for i in range(100)]
    ranking = QueryCandidates(tuple(names), tuple(map(float, range(100, 0, -1))))
    before = sys.getallocatedblocks()
    compact = Compact((f"q{i}", ranking) for i in range(10_000))
    assert compact.documents == 1_000_000
    assert sys.getallocatedblocks() - before < 100_000


def rows(trial: str, n: int, value: float) -> list[tuple[str, str, str, float]]:
    return [(trial, f"q{i}", "nDCG@10", value) for i in range(n)]


def test_a_table_is_extended_by_stretches_and_a_trial_that_ran_again_replaces_its_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "STRETCH", 7)
    path = tmp_path / "per_query.parquet"
    tables.extend(path, tables.PER_QUERY, iter(rows("a", 20, 0.5)), {"a"})
    tables.extend(path, tables.PER_QUERY, rows("b", 5, 0.25), {"b"})
    tables.extend(path, tables.PER_QUERY, rows("a", 3, 1.0), {"a"})
    table = read_table(path, PER_QUERY)
    assert table.groupby("trial")["value"].agg(["size", "mean"]).to_dict("index") == {
        "a": {"size": 3, "mean": 1.0},
        "b": {"size": 5, "mean": 0.25},
    }
    assert tuple(table.columns) == PER_QUERY


def test_a_table_of_an_earlier_version_is_extended(tmp_path: Path) -> None:
    path = tmp_path / "depths.parquet"
    pd.DataFrame([("a", 5, "q0", "nDCG@10", 0.5)], columns=list(DEPTHS)).to_parquet(
        path, index=False
    )
    tables.extend(path, tables.DEPTHS, [("b", 5, "q0", "nDCG@10", 1.0)], {"b"})
    assert sorted(read_table(path, DEPTHS)["trial"]) == ["a", "b"]


def test_a_table_without_rows_is_not_begun_and_a_damaged_one_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "per_query.parquet"
    tables.extend(path, tables.PER_QUERY, [], set())
    assert not path.exists()
    path.write_bytes(b"no table")
    with pytest.raises(RecordError, match=r"per_query\.parquet: cannot be read"):
        tables.extend(path, tables.PER_QUERY, rows("a", 1, 0.0), set())
    assert path.read_bytes() == b"no table"
