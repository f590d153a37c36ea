"""A sweep times the same rerankers at other depths and settings, and scores again what changes
their scores.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pydantic import ValidationError

import bench
from bench import reports
from bench.comparison.budgets import budget
from bench.contract.trial import System
from bench.core.errors import SuiteError
from bench.core.note import Code, read_notes
from bench.latency.sweep_plan import SweepPlan
from bench.records.points import measured
from bench.records.run import Run
from bench.records.tables import SYSTEM
from bench.reports import plots
from bench.reports.sections import sweep
from bench.runner import loop
from bench.suite.suite import load
from tests.support.made_collections import write_collection
from tests.support.notes import noted

pytestmark = pytest.mark.usefixtures("pixels")

FAKE = "tests.support.fakes:HashReranker"
TUNABLE = {"tests.support.fakes:TunableReranker": {"name": "tiny", "batch_size": 4}}
TINY = {"cross-encoder": {"model": "tiny:bert-cross-encoder", "name": "tiny", "batch_size": 4}}
OWN = "tiny--bm25--tiny--cpu"


def suite(collection: Path, *rerankers: Any, **sweep: Any) -> dict[str, Any]:
    latency = {
        "scenarios": ["single"],
        "queries": 4,
        "rounds": 1,
        "warmup_max": 2,
        "span_queries": 0,
    }
    return {
        "name": "tiny",
        "datasets": [f"files:{collection}"],
        "rerankers": list(rerankers or [TUNABLE]),
        "latency": {**latency, "sweep": {"depths": [2, 5, 100], **sweep}},
        "depth": 8,
    }


def run(collection: Path, tmp_path: Path, *rerankers: Any, **sweep: Any) -> Run:
    """Without reports."""
    return loop.run(load(suite(collection, *rerankers, **sweep)), out=tmp_path / "results")


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A finished run, read by several tests: two batch sizes, and bfloat16."""
    folder = tmp_path_factory.mktemp("swept")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RERANK_BENCH_CACHE", str(folder / "cache"))
        return bench.run(
            suite(write_collection(folder / "tiny"), batch_sizes=[1, 4], dtypes=["bfloat16"]),
            out=folder / "results",
        )


def report(found: Run) -> str:
    return reports.markdown(found)


def points(found: Run) -> set[tuple[Any, ...]]:
    return {(p.depth, p.settings["batch_size"], p.settings["dtype"]) for p in measured(found)}


def systems(table: Any) -> set[System]:
    """The systems of a table of depths or of a sweep."""
    cells = table[list(SYSTEM)].astype(object).where(table[list(SYSTEM)].notna(), None)
    return {System(*row) for row in cells.itertuples(index=False)}


def test_one_setting_is_changed_at_a_time_unless_they_are_crossed() -> None:
    plan = SweepPlan(batch_sizes=(1, 8), dtypes=("bfloat16",))
    assert list(plan.changes()) == [{}, {"batch_size": 1}, {"batch_size": 8}, {"dtype": "bfloat16"}]
    crossed = plan.model_copy(update={"cross": True})
    assert list(crossed.changes()) == [
        {},
        {"batch_size": 1, "dtype": "bfloat16"},
        {"batch_size": 8, "dtype": "bfloat16"},
    ]
    assert list(SweepPlan(cross=True).changes()) == [{}]
    with pytest.raises(ValidationError):
        SweepPlan(batch_sizes=(0,))


def test_a_suite_names_what_is_wrong_with_a_sweep(collection: Path) -> None:
    with pytest.raises(SuiteError, match="batchsizes"):
        load(suite(collection, batchsizes=[1]))
    with pytest.raises(SuiteError, match="dtypes"):
        load(suite(collection, dtypes=["bfloat61"]))


def test_every_point_is_timed_and_those_that_score_differently_are_scored(swept: Run) -> None:
    found = swept
    base = {(depth, batch, "float32") for depth in (2, 5) for batch in (1, 4)}
    assert points(found) == base | {(2, 4, "bfloat16"), (5, 4, "bfloat16"), (6, 4, "float32")}
    table = found.sweep
    assert systems(table) == {System(OWN), System(OWN, "bfloat16")}
    assert set(table["scenario"]) == {"single"}
    assert (table["pairs"] <= table["depth"]).all()
    assert (
        table[~table["warmup"].astype(bool)]
        .groupby(["depth", "batch_size", "dtype"])["query"]
        .nunique()
        .eq(4)
        .all()
    )
    half = found.depths.query("trial == @OWN and system_dtype == 'bfloat16'")
    assert set(half["depth"]) == {0, 1, 2, 5, 6}
    assert set(found.records) == {OWN, "tiny--bm25--first-stage", "tiny--bm25--oracle"}, (
        "a variant is no row of the main table"
    )


def test_the_quality_of_a_number_format_is_that_of_a_reranker_of_its_own(
    collection: Path, tmp_path: Path
) -> None:
    """With a real model, whose scores bfloat16 rounds."""
    swept = run(collection, tmp_path, TINY, depths=[2], dtypes=["bfloat16"])
    half = {"cross-encoder": {**TINY["cross-encoder"], "dtype": "bfloat16"}}
    own = bench.run(
        {**suite(collection, half), "latency": None}, out=tmp_path / "half"
    ).per_query.query("trial == @OWN")
    found = swept.depths.query("trial == @OWN and system_dtype == 'bfloat16' and depth == 6")
    assert (
        found.set_index(["measure", "query"])["value"].to_dict()
        == own.set_index(["measure", "query"])["value"].to_dict()
    )
    assert set(swept.sweep["dtype"]) == {"float32", "bfloat16+float32"}


def test_quality_that_was_not_measured_is_not_assumed(collection: Path, tmp_path: Path) -> None:
    [choice] = budget(
        run(collection, tmp_path, depths=[2], dtypes=["bfloat16"], quality=False), p50_ms=60_000
    )
    assert [point.system for point in choice.unscored] == [System(OWN, "bfloat16")]
    assert choice.runner_up is not None
    assert choice.runner_up.system == System(OWN)


def test_what_cannot_be_swept_is_left_out_with_its_reason(collection: Path, tmp_path: Path) -> None:
    missing = {"tests.support.fakes:MissingReranker": {"name": "gone", "optional": True}}
    finished_run = run(collection, tmp_path, {FAKE: {"name": "fake"}}, missing, batch_sizes=[1])
    assert set(finished_run.sweep["trial"]) == {"tiny--bm25--fake--cpu"}
    notes = (finished_run.records["tiny--bm25--fake--cpu"].latency or {})["notes"]
    note = noted(notes, Code.SWEEP_LEFT_OUT)
    assert note.names["change"] == "batch_size 1"
    assert note.text == "it has no option 'batch_size'"
    assert "left out: it has no option" in report(finished_run)


def test_a_runtime_is_a_system_of_its_own_and_what_it_cannot_do_is_told(
    collection: Path, tmp_path: Path
) -> None:
    finished_run = run(
        collection,
        tmp_path,
        depths=[2],
        runtimes=["torch", "onnx", "openvino"],
        dtypes=["int8"],
        threads=[1],
    )
    assert set(finished_run.sweep["runtime"]) == {"torch", "onnx"}
    assert systems(finished_run.sweep) == {System(OWN), System(OWN, None, "onnx")}
    assert systems(finished_run.depths) >= {System(OWN), System(OWN, None, "onnx")}
    notes = [
        note
        for note in read_notes((finished_run.records[OWN].latency or {})["notes"])
        if note.code == Code.SWEEP_LEFT_OUT
    ]
    assert [note.names["change"] for note in notes] == ["dtype int8", "runtime openvino"]
    assert "runtime torch has no dtype int8" in notes[0].text


def test_crossed_settings_are_timed_together(collection: Path, tmp_path: Path) -> None:
    finished_run = run(
        collection,
        tmp_path,
        depths=[2],
        runtimes=["torch", "onnx"],
        dtypes=["int8", "float32"],
        batch_sizes=[1, 4],
        cross=True,
    )
    swept = {
        (p.settings["runtime"], p.settings["dtype"], p.settings["batch_size"])
        for p in measured(finished_run)
        if p.depth == 2
    }
    assert swept == {
        (r, d, b)
        for r, d in (("torch", "float32"), ("onnx", "int8"), ("onnx", "float32"))
        for b in (1, 4)
    }
    assert systems(finished_run.sweep) == {
        System(OWN),
        System(OWN, "int8", "onnx"),
        System(OWN, None, "onnx"),
    }


def test_depths_beyond_the_candidates_are_left_out(collection: Path, tmp_path: Path) -> None:
    assert set(run(collection, tmp_path, {FAKE: {"name": "fake"}}).sweep["depth"]) == {2, 5}
    whole = run(collection, tmp_path / "whole", {FAKE: {"name": "fake"}}, depths=[50])
    assert set(whole.sweep["depth"]) == {6}


def test_a_failing_point_is_told_and_takes_nothing_with_it(
    collection: Path, tmp_path: Path
) -> None:
    flaky = {"tests.support.fakes:FlakyReranker": {"name": "flaky", "fail_query": "q3"}}
    finished_run = run(collection, tmp_path, flaky, {FAKE: {"name": "fake"}})
    notes = read_notes((finished_run.records["tiny--bm25--flaky--cpu"].latency or {})["notes"])
    assert any(
        note.where.startswith("sweep: 2 candidates") and "timed out" in note.text for note in notes
    )
    assert {"tiny--bm25--fake--cpu"} <= set(finished_run.sweep["trial"])


def test_a_run_that_was_interrupted_in_its_sweep_keeps_the_points_it_took(
    collection: Path, tmp_path: Path
) -> None:
    fake = {FAKE: {"name": "fake"}}
    first = run(collection, tmp_path, fake)
    before = first.sweep
    info = json.loads((first.folder / "run.json").read_text()) | {
        "status": "running",
        "finished": None,
    }
    (first.folder / "run.json").write_text(json.dumps(info))
    [path] = (first.folder / "sweep").rglob("*.parquet")
    table = pd.read_parquet(path)
    table[table["depth"] == 2].to_parquet(path, index=False)
    (first.folder / "records" / "tiny--bm25--fake--cpu.json").unlink()
    again = run(collection, tmp_path, fake)
    assert again.folder == first.folder
    kept = again.sweep[again.sweep["depth"] == 2]
    assert kept["nanoseconds"].tolist() == before[before["depth"] == 2]["nanoseconds"].tolist()
    assert points(again) == points(first)
    assert (again.sweep["depth"] == 5).sum() == (before["depth"] == 5).sum()


def test_a_sweep_does_not_change_the_speed_key(collection: Path, tmp_path: Path) -> None:
    """The timed pass is the same one, so that a run with a sweep is comparable with a baseline
    without it.
    """
    fake = {FAKE: {"name": "fake"}}
    plain = suite(collection, fake)
    plain["latency"].pop("sweep")
    keys = [
        found.records["tiny--bm25--fake--cpu"].keys
        for found in (run(collection, tmp_path, fake), bench.run(plain, out=tmp_path))
    ]
    assert keys[0]["speed"] == keys[1]["speed"]


def test_the_report_has_a_table_and_a_heat_map(swept: Run, tmp_path: Path) -> None:
    found = swept
    page = report(found)
    measure, [members] = sweep.points(found)[("tiny", "bm25", 8)]
    table = sweep.table(members, measure)
    assert [column.title for column in table.columns] == ["2", "5", "6"]
    assert [row.label for row in table.rows] == [
        "fp32 b4",
        "fp32 b1",
        "bf16 b4",
        "nDCG@10",
        "nDCG@10, bfloat16",
    ]
    assert "6" not in table.rows[2].cells
    assert "Sweep of tiny (cpu)" in page
    assert "| bf16 b4 |" in page
    assert "sweep-tiny-bm25.png" in (found.folder / "report.md").read_text()
    assert (found.folder / "sweep-tiny-bm25.png").read_bytes().startswith(b"\x89PNG")
    assert [path.name for path in plots.write(found, "sweep", tmp_path, "svg")] == [
        "sweep-tiny-bm25.svg"
    ]


def test_a_sweep_of_depths_alone_draws_no_heat_map(collection: Path, tmp_path: Path) -> None:
    finished_run = run(collection, tmp_path, {FAKE: {"name": "fake"}})
    assert list(plots.draw(finished_run, "sweep")) == []
    assert "Sweep of fake (cpu)" in report(finished_run)


def test_what_is_timed_is_described_as_it_is_and_not_as_it_was_when_its_scores_were_made(
    collection: Path, tmp_path: Path
) -> None:
    """Batch size and threads decide no score, so that scores made under others come from the
    cache.
    """
    for batch_size, threads in ((4, 1), (8, 2)):
        tuned = {
            "tests.support.fakes:TunableReranker": {
                "name": "tiny",
                "batch_size": batch_size,
                "threads": threads,
            }
        }
        record = run(collection, tmp_path / str(threads), tuned, depths=[2]).records[OWN]
        facts = dict(record.description["facts"])
        assert (facts["batch_size"], facts["threads"]) == (batch_size, threads)
        assert record.keys["speed"].fields["settings"]["threads"] == threads
    assert record.scores == {"cached": 4, "computed": 0}
