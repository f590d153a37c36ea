"""Pictures, tables and files that leave a run, and all runs in one place."""

from __future__ import annotations

import csv
import gzip
import io
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from click.testing import CliRunner

import bench
from bench.cli.main import cli
from bench.comparison.leaderboard import collect
from bench.core.errors import BenchError, RecordError
from bench.quality.statistics import Difference
from bench.records.run import Run
from bench.reports import exports, plots
from bench.reports.exports.base import mteb_name
from bench.reports.plots import style
from bench.reports.renderers import latex
from tests.support.embedded_runs import embedded_run
from tests.support.made_runs import made_run

pytestmark = pytest.mark.usefixtures("pixels")

BASE, BETTER = [0.1, 0.5, 0.3, 0.9], [0.2, 0.7, 0.3, 0.8]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A whole run of two rerankers without weights, timed, with depths."""
    latency = {"queries": 4, "rounds": 1, "warmup_max": 0, "offline_pairs": 20}
    folder = tmp_path_factory.mktemp("exports")
    return embedded_run(folder, "hash & co_1", name="exported", depth=10, latency=latency)


def invoke(*arguments: object) -> str:
    done = CliRunner().invoke(
        cli, [str(argument) for argument in arguments], catch_exceptions=False
    )
    assert done.exit_code == 0, done.output
    return done.output


@pytest.mark.parametrize("kind", sorted(plots.KINDS))
@pytest.mark.parametrize(
    ("form", "magic"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")]
)
def test_every_kind_is_drawn_in_every_format(
    run: Run, tmp_path: Path, kind: str, form: str, magic: bytes
) -> None:
    if kind == "sweep":
        pytest.skip("this run swept nothing; tests of sweeps draw it")
    if kind == "learning":
        pytest.skip("this run trained nothing; tests of learning curves draw it")
    if kind == "flow":
        pytest.skip("this run has no pipeline; tests of losses draw it")
    written = invoke(
        "plot", run.folder, "--kind", kind, "--format", form, "--out", tmp_path
    ).split()
    assert written
    assert all(Path(path).read_bytes().startswith(magic) for path in written)
    if form == "svg":
        text = Path(written[0]).read_text()
        assert "nDCG@10" in text or "latency" in text, "the text of an SVG stays text"


def test_equal_runs_give_equal_pictures(run: Run, tmp_path: Path) -> None:
    once, again = (
        plots.write(run, "depth", tmp_path / name, "svg")[0].read_bytes() for name in ("a", "b")
    )
    assert once == again


def test_a_name_with_two_dollar_signs_is_drawn_as_it_is(tmp_path: Path) -> None:
    made = made_run(
        tmp_path / "run",
        {"first-stage": BASE, "$^{$": BETTER},
        dataset="$x_$",
        first_stage="$b^$",
    )
    [path] = plots.write(made, "per-query", tmp_path, "svg")
    assert "$^{$ against the first stage, $x_$, $b^$" in path.read_text()


def test_a_picture_that_fails_stops_nothing_else(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(run.folder, folder)
    for path in folder.glob("*.png"):
        path.unlink()
    (folder / "report.md").unlink()
    draw_image = style.image

    def fail_on_depth(figure: Any, form: str) -> bytes:
        if "candidates reranked" in figure.axes[0].get_xlabel():
            raise ValueError("no such\nglyph")
        return draw_image(figure, form)

    monkeypatch.setattr(style, "image", fail_on_depth)
    done = CliRunner().invoke(cli, ["report", str(folder)], catch_exceptions=False)
    assert done.exit_code == 0
    assert "depth-everyday-bm25.png could not be drawn: ValueError: no such\n" in done.output
    assert (folder / "tradeoff-everyday-bm25.png").is_file()
    comment = (folder / "report.md").read_text()
    assert "- depth-everyday-bm25.png could not be drawn: ValueError: no such\n" in comment
    assert "`depth-everyday-bm25.png`" not in comment, "only files that are there are named as such"
    done = CliRunner().invoke(cli, ["plot", str(folder), "--kind", "depth"])
    assert isinstance(done.exception, BenchError)
    assert "depth-everyday-bm25.png could not be drawn" in str(done.exception)


def test_a_run_without_timings_has_no_picture_of_them(tmp_path: Path) -> None:
    made = made_run(tmp_path, {"first-stage": BASE, "a": BETTER})
    assert plots.write(made, "pareto") == []
    done = CliRunner().invoke(cli, ["plot", str(made.folder)])
    assert isinstance(done.exception, RecordError)
    assert "holds nothing that --kind pareto shows: no reranker of this run was timed; run" in str(
        done.exception
    )


def test_groups_may_have_other_measure_names(collection: Path, tmp_path: Path) -> None:
    """RR@10 is RR(rel=2)@10 where grade 2 is relevant."""
    folders = [
        f"files:{collection}",
        {f"files:{collection}": {"min_relevance": 2, "name": "strict"}},
    ]
    suite = {
        "name": "two",
        "datasets": folders,
        "rerankers": ["word-overlap"],
        "depth": 5,
        "measures": ["RR@10", "nDCG@10"],
    }
    found = bench.run(suite, out=tmp_path, latency=False)
    assert (
        len(plots.write(found, "depth", tmp_path))
        == len(plots.write(found, "per-query", tmp_path))
        == 2
    )
    text = exports.export(found, "latex")
    assert "RR@10" in text
    assert "RR(rel=2)@10" in text


def test_the_report_shows_quality_by_depth(run: Run) -> None:
    page = (run.folder / "report.md").read_text()
    assert "depth-everyday-bm25.png" in page
    assert (run.folder / "depth-everyday-bm25.png").is_file()


def test_latex_escapes_names_and_marks_the_best(run: Run) -> None:
    text = invoke("export", run.folder, "--format", "latex")
    assert "\\toprule" in text
    assert "hash \\& co\\_1" in text
    best = max(
        (record for record in run.records.values() if record.trial.kind == "reranker"),
        key=lambda one: one.quality["nDCG@10"].mean,
    )
    assert f"\\textbf{{{best.quality['nDCG@10'].mean:.4f}}}" in text
    rows = [line for line in text.splitlines() if line.endswith("\\\\")]
    assert len({line.replace("\\&", "").count("&") for line in rows}) == 1, (
        "every row has as many cells"
    )


def test_csv_and_parquet_hold_the_main_table(run: Run, tmp_path: Path) -> None:
    table = pd.read_csv(io.StringIO(invoke("export", run.folder, "--format", "csv")))
    assert table["reranker"].tolist() == run.to_frame()["reranker"].tolist()
    (path,) = invoke(
        "export", run.folder, "--format", "parquet", "--out", tmp_path / "x.parquet"
    ).split()
    pd.testing.assert_frame_equal(pd.read_parquet(path), run.to_frame(), check_dtype=False)


def test_parquet_has_the_run_s_name_and_counts_stay_whole_numbers_next_to_means(
    tmp_path: Path,
) -> None:
    stages = ["bm25", {"bm25": {"name": "stemmed", "stemmer": "english"}}]
    latency = {"queries": 2, "rounds": 1, "warmup_max": 0, "offline_pairs": 20}
    suite = {"depth": 10, "first_stages": stages, "latency": latency}
    several = embedded_run(tmp_path, "hash", name="several", **suite)
    [path] = invoke("export", several.folder, "--format", "parquet").split()
    assert Path(path).name == f"{several.info.id}.parquet"
    rows = json.loads(invoke("export", several.folder, "--format", "json"))
    assert rows[-1]["dataset"].startswith("mean over")
    assert {type(row["depth"]) for row in rows} == {int, type(None)}
    assert {type(row["candidates"]) for row in rows} == {int, type(None)}


def test_a_model_card_block_is_yaml_that_the_hub_reads(run: Run) -> None:
    text = invoke("export", run.folder, "--format", "model-card")
    (entry, _) = yaml.safe_load(text.strip().strip("-"))["model-index"]
    (result,) = entry["results"]
    assert result["dataset"]["name"] == "everyday, bm25, 10 candidates"
    assert {metric["type"] for metric in result["metrics"]} == {"ndcg@10", "mrr@10"}


def test_mteb_files_hold_the_means_under_its_names(run: Run, tmp_path: Path) -> None:
    paths = [
        Path(line)
        for line in invoke("export", run.folder, "--format", "mteb", "--out", tmp_path).splitlines()
    ]
    assert len(paths) == 2
    data = json.loads(paths[0].read_text())
    (scores,) = data["scores"]["test"]
    record = next(
        record for record in run.records.values() if record.trial.reranker == "hash & co_1"
    )
    assert scores["ndcg_at_10"] == scores["main_score"] == record.quality["nDCG@10"].mean
    assert scores["mrr_at_10"] == record.quality["RR@10"].mean
    assert data["mteb_version"] is None


def test_mteb_names() -> None:
    assert [
        mteb_name(name)
        for name in ("nDCG@10", "RR(rel=2)@10", "AP", "R@100", "nDCG(gains={2:10})@10")
    ] == [
        "ndcg_at_10",
        "mrr_at_10",
        "map",
        "recall_at_100",
        "nDCG(gains={2:10})@10",
    ]


def test_latex_escapes_names_and_explains_its_dagger(tmp_path: Path) -> None:
    difference = Difference(0.1, 0.05, 0.15, 0.001, 40, 20, 20)
    record = {"a_1": {"vs_first_stage": {"nDCG@10": difference}}}
    made = made_run(tmp_path, {"first-stage": BASE, "a_1": BETTER}, record=record)
    text = str(exports.export(made, "latex"))
    assert "\\caption{tiny, bm25, 5 candidates. $^{\\dagger}$: p $<$ 0.05 against" in text
    assert "$+0.1000$$^{\\dagger}$" in text
    assert "a\\_1" in text
    assert latex.escape('<a|"b">') == "$<$a\\textbar{}\\char34{}b\\char34{}$>$"
    assert latex.escape("nDCG(gains={2:10})@10") == "nDCG(gains=\\{2:10\\})@10"


def test_latex_compiles(tmp_path: Path) -> None:
    """Names of outside with every sign that LaTeX would read."""
    program = shutil.which("pdflatex")
    if program is None:
        pytest.skip("pdflatex is not here")
    name = "[a] \\b & 100% $x_1$ #{c} ~^ <d>"
    made = made_run(tmp_path, {"first-stage": BASE, name: BETTER})
    table = exports.export(made, "latex")
    page = (
        "\\documentclass{article}\\usepackage[T1]{fontenc}\\usepackage{booktabs}"
        f"\\begin{{document}}{table}\\end{{document}}"
    )
    (tmp_path / "page.tex").write_text(page)
    done = subprocess.run(
        [program, "-interaction=nonstopmode", "-halt-on-error", "page.tex"],
        cwd=tmp_path,
        capture_output=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout[-2000:]


def test_trec_runs_leave_unzipped(run: Run, tmp_path: Path) -> None:
    written = invoke("export", run.folder, "--format", "trec", "--out", tmp_path).splitlines()
    paths = [Path(line) for line in written if line.endswith(".run")]
    assert len(paths) == len(run.records) == len(written) / 2, (
        "a run, and its ir_metadata next to it"
    )
    zipped = run.folder / "rankings" / f"{paths[0].name}.gz"
    assert paths[0].read_bytes() == gzip.decompress(zipped.read_bytes())


def test_a_name_that_a_spreadsheet_would_compute_is_a_text_in_csv(tmp_path: Path) -> None:
    names = ["=1+1", "@sum", "+x", "-x", "-", "-3.5", "plain"]
    made = made_run(tmp_path, {"first-stage": BASE, **dict.fromkeys(names, BETTER)})
    cells = ["'=1+1", "'@sum", "'+x", "'-x", "-", "-3.5", "plain"]
    table = list(csv.DictReader(io.StringIO(invoke("export", made.folder, "--format", "csv"))))
    assert [row["reranker"] for row in table[1:]] == cells
    board = list(csv.DictReader(io.StringIO(invoke("leaderboard", tmp_path, "--format", "csv"))))
    assert {row["reranker"] for row in board} == {"first-stage", *cells}
    compared = list(csv.DictReader(io.StringIO(invoke("compare", made.folder, "--format", "csv"))))
    assert {row["reranker"] for row in compared} >= {"'=1+1", "plain"}


def test_a_run_in_which_no_reranker_finished_has_nothing_to_export(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="no reranker of this run finished"):
        exports.export(made_run(tmp_path, {"first-stage": BASE}), "latex")


def test_the_leaderboard_groups_by_quality_key_and_keeps_the_newest(tmp_path: Path) -> None:
    made_run(tmp_path, {"first-stage": BASE, "a": BASE}, name="old")
    made_run(tmp_path, {"first-stage": BASE, "a": BETTER, "b": [0.0, 0.1, 0.0, 0.2]}, name="zlater")
    made_run(
        tmp_path, {"first-stage": BASE, "a": BETTER}, name="other", quality={"candidates": "xyz"}
    )
    first, second = collect(tmp_path)
    assert [entry.row.name for entry in first.entries] == ["a", "first-stage", "b"]
    assert first.entries[0].row.quality["nDCG@10"].mean == pytest.approx(0.5), (
        "the newest record stands for a system"
    )
    assert len(second.entries) == 2
    assert first.key != second.key
    told = f"Not comparable with group {first.key}: it differs in candidates (abc → xyz)"
    assert (first.difference, second.difference) == ("", told)
    assert told in " ".join(invoke("leaderboard", tmp_path).split())
    assert f"Quality key `{second.key}`. {told}." in invoke(
        "leaderboard", tmp_path, "--format", "markdown"
    )
    assert [
        board["difference"]
        for board in json.loads(invoke("leaderboard", tmp_path, "--format", "json"))
    ] == ["", told]


def test_runs_of_other_measures_are_one_group_of_the_leaderboard(tmp_path: Path) -> None:
    values = {"first-stage": BASE, "a": BETTER}
    old = made_run(tmp_path, {**values, "old": BETTER}, name="a-old")
    more = {"R@20": {"first-stage": BASE, "a": BASE}}
    quality = {"measures": ["nDCG@10", "R@20"]}
    new = made_run(tmp_path, values, name="b-new", more=more, quality=quality)
    made_run(
        tmp_path, {"c": BASE}, name="a-another", measure="R@20", quality={"measures": ["R@20"]}
    )
    (board,) = collect(tmp_path)
    assert [entry.row.name for entry in board.entries] == ["a", "old", "first-stage", "c"]
    assert (board.measure, board.others) == ("nDCG@10", ["R@20"])
    text = invoke("leaderboard", tmp_path, "--format", "markdown")
    assert "| reranker | nDCG@10 | Δ first | R@20 |" in text
    (data,) = json.loads(invoke("leaderboard", tmp_path, "--format", "json"))
    by_name = {entry["reranker"]: entry for entry in data["entries"]}
    assert (by_name["old"]["run"], by_name["old"]["R@20"]) == (old.info.id, None)
    assert (by_name["c"]["mean"], by_name["c"]["R@20"]) == (None, pytest.approx(0.45))
    made_run(tmp_path, {"a": [0.9, 0.9, 0.9, 0.9]}, name="d-newest")
    (data,) = json.loads(invoke("leaderboard", tmp_path, "--format", "json"))
    entry = next(entry for entry in data["entries"] if entry["reranker"] == "a")
    assert (entry["mean"], entry["R@20"]) == (pytest.approx(0.9), pytest.approx(0.45))
    assert entry["earlier"] == f"R@20 of run {new.info.id}"
    text = invoke("leaderboard", tmp_path, "--format", "markdown")
    assert f"- a (cpu): R@20 of run {new.info.id}" in text
    (board,) = collect(tmp_path, "R@20")
    assert [entry.row.name for entry in board.entries][-1] == "old"


def test_a_run_without_timings_hides_no_earlier_timing_of_the_same_machine(
    tmp_path: Path,
) -> None:
    times = {"a": [10.0] * 4}
    values = {"first-stage": BASE, "a": BETTER}
    old = made_run(tmp_path, values, name="old", milliseconds=times)
    new = made_run(tmp_path, values, name="zlater")
    (board,) = json.loads(invoke("leaderboard", tmp_path, "--format", "json"))
    entry = next(one for one in board["entries"] if one["reranker"] == "a")
    assert (entry["run"], entry["timing_run"]) == (new.info.id, old.info.id)
    assert entry["p50_ms"] == pytest.approx(10.0)
    text = invoke("leaderboard", tmp_path, "--format", "markdown")
    assert f"| {new.info.id} |" in text
    assert f"\n- a (cpu): timed in run {old.info.id}\n" in text
    made_run(tmp_path, values, name="zother", record={"a": {"environment": {"cpu": "Other"}}})
    (board,) = json.loads(invoke("leaderboard", tmp_path, "--format", "json"))
    entry = next(one for one in board["entries"] if one["reranker"] == "a")
    assert (entry["p50_ms"], entry["timing_run"]) == (None, None), "another machine's"


def test_the_leaderboard_is_written_for_people_and_programs(tmp_path: Path) -> None:
    made_run(tmp_path, {"first-stage": BASE, "a|b": BETTER})
    assert "a|b" in invoke("leaderboard", tmp_path)
    assert "a\\|b" in invoke("leaderboard", tmp_path, "--format", "markdown")
    (board,) = json.loads(invoke("leaderboard", tmp_path, "--format", "json"))
    assert [entry["reranker"] for entry in board["entries"]] == ["a|b", "first-stage"]
    rows = list(csv.DictReader(io.StringIO(invoke("leaderboard", tmp_path, "--format", "csv"))))
    assert {row["quality_key"] for row in rows} == {board["quality_key"]}


def test_a_leaderboard_of_nothing_says_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="no finished trial"):
        collect(tmp_path)
    made_run(tmp_path, {"a": BETTER})
    with pytest.raises(BenchError, match=r"no run under .* holds AP"):
        collect(tmp_path, "AP")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "run.json").write_text("{")
    reasons: list[str] = []
    assert len(collect(tmp_path, None, reasons.append)) == 1, "an unreadable folder is left out"
    (reason,) = reasons
    assert "broken/run.json: not a record" in reason
