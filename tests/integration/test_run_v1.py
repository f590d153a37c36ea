"""A run folder of schema version 1, as the first version wrote it, stays readable.

tests/data/run-v1 holds a tiny collection with word overlap, a function and a cross-encoder with
random weights; the latter two are timed, under load too, and swept.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

import bench
from bench.cli.main import cli
from bench.comparison.pairs import compare
from bench.records import baselines
from bench.records.points import measured
from bench.records.run import Run
from tests.support.paths import ROOT

FOLDER = ROOT / "tests" / "data" / "run-v1"
OVERLAP, TINY = "fruit--bm25--word-overlap", "fruit--bm25--tiny--cpu"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy to write reports to, whose id is of a run of its own."""
    copy = Path(shutil.copytree(FOLDER, tmp_path / "run-v1"))
    info = copy / "run.json"
    info.write_text(info.read_text(encoding="utf-8").replace("d2075e", "000000"), encoding="utf-8")
    return copy


def call(*arguments: object) -> str:
    result = CliRunner().invoke(cli, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result.output


def test_it_loads_with_the_values_that_were_written() -> None:
    run = bench.load(FOLDER)
    assert list(run.records) == [
        "fruit--bm25--first-stage",
        OVERLAP,
        "fruit--bm25--by-length--cpu",
        TINY,
        "fruit--bm25--oracle",
    ]
    record = run.records[TINY]
    assert record.quality["nDCG@10"].mean == 0.6012908536408874
    values = run.per_query.query("trial == @TINY and measure == 'nDCG@10'")
    by_query = dict(zip(values["query"], values["value"], strict=True))
    # Written here with six decimals.
    assert by_query == pytest.approx(
        {"q1": 0.944848, "q2": 0.430677, "q3": 1.0, "q4": 0.63093, "q5": 0.0}, abs=1e-6
    )
    assert run.ranking(TINY)["q1"].doc_ids[:3] == ("d00", "d04", "d11")
    assert {"depth": 8, "first_stage": "bm25"}.items() <= dict(record.candidates).items()
    assert len(run.latency) == 51
    assert len(run.sweep) == 36


def test_its_points_are_those_of_the_timed_pass_and_of_the_sweep() -> None:
    points = {
        (point.trial.reranker, point.depth, point.settings["dtype"])
        for point in measured(bench.load(FOLDER))
    }
    assert points == {
        ("by-length", 8, None),
        ("by-length", 2, None),
        ("by-length", 5, None),
        ("tiny", 8, "float32"),
        ("tiny", 2, "float32"),
        ("tiny", 5, "float32"),
        ("tiny", 2, "bfloat16"),
        ("tiny", 5, "bfloat16"),
    }


def test_it_reports(folder: Path) -> None:
    call("report", folder)
    text = (folder / "report.md").read_text(encoding="utf-8")
    assert "random weights: the order means nothing" in text
    assert "21 of 24 documents tie in score" in text
    assert "times had not settled after 2 warm-up calls" in text
    assert "queries without judgments, left out: 1" in text
    assert "bfloat16" in text
    assert "server 50/s" in text
    assert "apple banana" in (folder / "report.html").read_text(encoding="utf-8")


def test_it_compares_and_passes_a_check_against_itself(folder: Path) -> None:
    [delta] = [
        comparison.difference.mean
        for comparison in compare([Run(folder)], baseline="first-stage")
        if comparison.new.trial.id == TINY
    ]
    assert delta == pytest.approx(0.03627139299884328)
    assert "tiny" in call("compare", folder)
    assert "6 of 6 gates passed" in call("check", folder, "--baseline", FOLDER)
    assert "tiny" in call("budget", folder, "--p50-ms", 1000)


@pytest.mark.parametrize("form", ["latex", "csv", "parquet", "mteb", "model-card", "trec"])
def test_it_exports(form: str, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    call("export", folder, "--format", form, "--out", out)
    assert out.exists() or list(tmp_path.glob("out.*"))


def test_it_becomes_a_baseline_of_today(folder: Path, tmp_path: Path) -> None:
    path = baselines.save(Run(folder), "kept", tmp_path / "baselines", latency=True)
    before, after = Run(folder), Run(path)
    assert after.per_query.sort_values(["trial", "measure", "query"], ignore_index=True).equals(
        before.per_query.sort_values(["trial", "measure", "query"], ignore_index=True)
    )
    assert "6 of 6 gates passed" in call("check", path, "--baseline", FOLDER)


def test_a_rebuilt_report_of_it_prints_what_its_records_hold(folder: Path) -> None:
    """Its report has folded sections with tables of rerankers, and no heading in between."""
    assert CliRunner().invoke(cli, ["report", str(folder)]).exit_code == 0
    result = CliRunner().invoke(cli, ["verify", str(folder)])
    assert result.exit_code == 0, result.output
    assert "nothing differs" in result.output
