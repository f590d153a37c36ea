"""A run folder whose rankings or values are not those that its records count is refused, with the
file and the fix, by whatever reads them.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from bench import reports
from bench.comparison.agreement import agreements
from bench.comparison.pairs import compare, sides
from bench.comparison.parity import within_run
from bench.core.errors import BenchError, RecordError
from bench.records.run import Run
from bench.reports import comparison, exports
from bench.reports.renderers import render
from tests.support.made_runs import made_run

VALUES = [0.5, 0.25, 0.75]
RANKING = {f"q{i}": [("d1", 3.0), ("d2", 2.0), ("d3", 1.0)] for i in range(3)}
PLAIN = {"model": "m", "dtype": "float32", "runtime": "torch"}
QUICK = {"model": "m", "dtype": "bfloat16", "runtime": "torch"}
LINE = "q0 Q0 d1 1 3.0 a\n"

DAMAGES = {
    "fewer queries": LINE + "q0 Q0 d2 2 2.0 a\nq0 Q0 d3 3 1.0 a\n",
    "no query": "",
    "another depth": "".join(f"q{i} Q0 d1 1 3.0 a\n" for i in range(3)),
}


@pytest.fixture
def run(tmp_path: Path) -> Run:
    names = ("first-stage", "a", "b")
    return made_run(
        tmp_path,
        {"first-stage": VALUES, "a": VALUES[::-1], "b": VALUES},
        rankings=dict.fromkeys(names, RANKING),
        systems={"a": PLAIN, "b": QUICK},
    )


READERS: dict[str, Callable[[Run, Path], Any]] = {
    "parity": lambda run, out: within_run(run, "b", "a"),
    "agreement": lambda run, out: agreements(run),
    "compare": lambda run, out: render(comparison.document(compare([run])), "markdown"),
    "report": lambda run, out: reports.html(run),
    "export": lambda run, out: exports.export(run, "trec", out),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_ranking_that_is_cut_is_refused_by_file(
    run: Run, tmp_path: Path, reader: str, damage: str
) -> None:
    path = run.folder / "rankings" / "tiny--bm25--a.run.gz"
    READERS[reader](run, tmp_path / "sound")
    path.write_bytes(gzip.compress(DAMAGES[damage].encode()))
    with pytest.raises(BenchError) as caught:
        READERS[reader](Run(run.folder), tmp_path / "cut")
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "run its suite again" in str(caught.value)


@pytest.mark.parametrize("reader", ["parity", "export"])
def test_a_ranking_that_is_gone_is_refused_by_file(run: Run, tmp_path: Path, reader: str) -> None:
    path = run.folder / "rankings" / "tiny--bm25--a.run.gz"
    path.unlink()
    with pytest.raises(RecordError, match="no such file: the run is damaged") as caught:
        READERS[reader](Run(run.folder), tmp_path / "out")
    assert str(path) in str(caught.value)


def test_a_report_says_which_rankings_are_gone(run: Run) -> None:
    (run.folder / "rankings" / "tiny--bm25--a.run.gz").unlink()
    gone = Run(run.folder)
    assert [one for one in gone.records if not gone.has_ranking(one)] == ["tiny--bm25--a"]
    for page in (reports.html(gone), reports.markdown(gone)):
        assert "its ranking is not in the run folder" in page


def with_value(run: Run, value: float) -> Run:
    path = run.folder / "per_query" / "tiny--bm25--a.parquet"
    table = pd.read_parquet(path)
    wrong = (table["trial"] == "tiny--bm25--a") & (table["query"] == "q1")
    table.assign(value=table["value"].where(~wrong, value)).to_parquet(path)
    return Run(run.folder)


@pytest.mark.parametrize("value", [7.3, -0.1, float("nan"), float("inf")])
@pytest.mark.parametrize("reader", ["compare", "report"])
def test_a_value_that_its_measure_cannot_have_is_refused_by_trial_and_query(
    run: Run, tmp_path: Path, value: float, reader: str
) -> None:
    with pytest.raises(RecordError) as caught:
        READERS[reader](with_value(run, value), tmp_path)
    assert str(run.folder / "per_query" / "tiny--bm25--a.parquet") in str(caught.value)
    for part in (str(value), "trial tiny--bm25--a", "query q1", "run its suite again"):
        assert part in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("column", "value"), [("nanoseconds", -5), ("nanoseconds", 0), ("pairs", 0), ("tokens", -1)]
)
def test_a_time_that_no_call_takes_is_refused_by_trial_and_query(
    tmp_path: Path, column: str, value: int
) -> None:
    run = made_run(tmp_path, {"a": VALUES}, milliseconds={"a": [5.0, 6.0, 7.0]})
    path = run.folder / "latency" / "tiny--bm25--a.parquet"
    table = pd.read_parquet(path)
    table.assign(**{column: [1000, value, 1000]}).to_parquet(path)
    with pytest.raises(RecordError) as caught:
        reports.markdown(Run(run.folder))
    for part in (str(path), column, str(value), "trial tiny--bm25--a", "query q1"):
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("before", "after", "key"),
    [
        ('"mean": 0.5', '"mean": 7.3', "quality"),
        ('"mean": 0.5', '"mean": NaN', "quality"),
        ('"failed": 0', '"failed": -1', "counts.failed"),
        ('"pairs": 9', '"pairs": -9', "counts.pairs"),
    ],
)
def test_a_record_of_impossible_numbers_is_refused(
    run: Run, before: str, after: str, key: str
) -> None:
    path = run.folder / "records" / "tiny--bm25--a.json"
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after, 1))
    with pytest.raises(RecordError, match=key) as caught:
        reports.markdown(Run(run.folder))
    assert str(path) in str(caught.value)


def test_the_values_of_a_trial_are_read_once(run: Run) -> None:
    (_, side, *_) = sides(run)
    assert side.values("nDCG@10") is side.values("nDCG@10")
    assert side.values("nDCG@10") == {"q0": 0.75, "q1": 0.25, "q2": 0.5}
