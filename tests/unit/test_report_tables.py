"""Sections, renderers and exports are lines of tables: an outsider adds a file and a line."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner

from bench import reports
from bench.cli.main import cli
from bench.records.run import Run
from bench.reports import exports, renderers, sections
from bench.reports.renderers import render
from bench.reports.renderers.screen import screen
from tests.support.made_reports import Made, made_report
from tests.support.made_runs import made_run

SECTION = """
from bench.reports import cells
from bench.reports.document import Code, Column, Paragraph, Row, Section, Strong, Table

def toy(view):
    words = Paragraph((Strong("<b>|`bold`"), " of ", Code("a`b"), f" has {len(view.rows)} rows"))
    columns = [Column("answer", "answer"), Column("why", "why", align="left")]
    row = Row("=1+1 & [x]", {"answer": cells.count(42000), "why": cells.missing("unknown")})
    return Section("toy", "A toy | <section>", [words, Table("question", columns, [row], "toy")])
"""
EXPORT = """
def names(run, out=None):
    return "\\n".join(row.name for row in run.rows)
"""
RENDERER = """
def render(document):
    return " / ".join(section.title for section in document.sections)
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    content = Made(noise={"a": 1.0}, datasets=("one", "two"), queries=6, timed=False)
    return made_report(tmp_path_factory.mktemp("made"), content)


def outside(name: str, source: str, tmp_path: Path, patch: pytest.MonkeyPatch) -> None:
    (tmp_path / f"{name}.py").write_text(source)
    patch.syspath_prepend(tmp_path)


def printed(run: Run) -> str:
    buffer = io.StringIO()
    reports.show(run, screen(file=buffer, width=100))
    return buffer.getvalue()


def test_a_section_from_outside_is_in_every_report_as_text(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside("toy_section", SECTION, tmp_path, monkeypatch)
    monkeypatch.setitem(sections.SECTIONS, "toy", sections.Entry("toy_section:toy"))
    assert "toy" in CliRunner().invoke(cli, ["list", "sections"]).output.split()
    terminal, comment, page = printed(run), reports.markdown(run), reports.html(run)
    assert "A toy | <section>" in terminal
    assert "<b>|`bold` of a`b has 6 rows" in terminal
    assert "42,000" in terminal
    assert "### A toy \\| \\<section\\>" in comment
    assert "**\\<b\\>\\|\\`bold\\`** of `` a`b `` has 6 rows" in comment
    assert "| =1+1 & \\[x\\] | 42,000 | – |" in comment
    assert '<section id="toy"' in page
    assert "&lt;b&gt;|`bold`</b> of <code>a`b</code>" in page
    assert '<td data-sort="42000">' in page
    latex = render(sections.document(run, "comment"), "latex")
    assert "=1+1 \\& [x] & 42,000 & --" in latex
    value = json.loads(render(sections.document(run, "comment"), "json"))
    [toy] = [section for section in value["sections"] if section["key"] == "toy"]
    assert toy["tables"][0]["rows"][0]["cells"] == {"answer": 42000, "why": None}


def test_a_section_with_nothing_to_show_is_left_out(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside("no_section", "def none(view):\n    return None\n", tmp_path, monkeypatch)
    before = reports.markdown(run)
    monkeypatch.setitem(sections.SECTIONS, "none", sections.Entry("no_section:none"))
    assert reports.markdown(run) == before


def test_an_export_from_outside_is_written(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside("toy_export", EXPORT, tmp_path, monkeypatch)
    monkeypatch.setitem(exports.EXPORTS, "names", "toy_export:names")
    assert exports.export(run, "names", tmp_path / "names.txt") == [tmp_path / "names.txt"]
    assert (tmp_path / "names.txt").read_text().split()[:2] == ["first-stage", "a"]


def test_a_renderer_from_outside_writes_a_document(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside("toy_renderer", RENDERER, tmp_path, monkeypatch)
    monkeypatch.setitem(renderers.RENDERERS, "titles", "toy_renderer:render")
    assert render(sections.document(run, "terminal"), "titles").startswith("All collections")


def test_a_run_of_several_datasets_has_a_mean_everywhere_that_says_over_which(run: Run) -> None:
    frame = run.to_frame().set_index(["reranker", "dataset"])["nDCG@10"]
    mean = frame["a"].mean()
    over = "one, bm25, 20 candidates; two, bm25, 20 candidates"
    for text in (printed(run), reports.markdown(run), reports.html(run)):
        assert f"{mean:.4f}" in text
        assert over in " ".join(text.split())
    latex = exports.export(run, "latex")
    assert f"mean over {over}" in latex
    assert f"{mean:.4f}" in latex
    rows = json.loads(str(exports.export(run, "json")))
    assert [row["nDCG@10"] for row in rows if row["dataset"] == f"mean over {over}"][1] == (
        pytest.approx(mean)
    )
    assert f'"mean over {over}",,a,cpu' in exports.export(run, "csv")


def test_an_unfinished_run_says_so_first_and_what_it_has_not_reached(tmp_path: Path) -> None:
    content = Made(noise={"a": 1.0}, datasets=("one", "two"), queries=6, timed=False)
    folder = made_report(tmp_path, content).folder
    info = json.loads((folder / "run.json").read_text())
    for status in info["trials"]:
        if status["trial"]["dataset"] == "two":
            status["status"] = "pending"
    info |= {"status": "running", "finished": None}
    (folder / "run.json").write_text(json.dumps(info))
    unfinished = Run(folder)
    for text in (printed(unfinished), reports.markdown(unfinished)):
        assert "All collections, nDCG@10\n" in text
        assert "not reached: the run is not finished" in text
        assert text.replace("*", "").count("This run is not finished: 3 of 6 rows ended.") == 1
    assert printed(unfinished).startswith("This run is not finished")
    comment = reports.markdown(unfinished)
    assert comment.splitlines()[2].startswith("**This run is not finished:**")
    assert "The run has not reached two (bm25)." in comment
    assert "was measured on two" not in comment
    page = reports.html(unfinished)
    assert "<b>not finished</b>" in page
    assert "pending: the run has not reached it" in page


def over_first_stages(folder: Path, names: Mapping[str, Sequence[str]]) -> Run:
    """Return a run of these rerankers by first stage."""
    runs: list[Run] = []
    for number, (first_stage, rerankers) in enumerate(names.items()):
        values = {name: [0.3, 0.4 + 0.1 * number] for name in rerankers}
        values = {"first-stage": [0.1, 0.2], **values}
        runs.append(made_run(folder / first_stage, values, first_stage=first_stage))
    target = runs[0].folder
    info = json.loads((target / "run.json").read_text())
    for other in runs[1:]:
        info["trials"] += json.loads((other.folder / "run.json").read_text())["trials"]
        for table in ("records", "per_query"):
            shutil.copytree(other.folder / table, target / table, dirs_exist_ok=True)
    (target / "run.json").write_text(json.dumps(info))
    return Run(target)


def test_a_pipeline_with_its_own_first_stage_empties_nobodys_mean(tmp_path: Path) -> None:
    names = {"bm25": ["a", "b"], "dense": ["a", "b"], "own": ["pipeline-of-its-own"]}
    run = over_first_stages(tmp_path, names)
    page = reports.markdown(run)
    assert "| a (cpu) | 0.3500 | 0.4000 | – | 0.3750 |" in page
    assert "| pipeline-of-its-own (cpu) | – | – | 0.4500 | – |" in page
    over = "The mean is over tiny, bm25, 5 candidates; tiny, dense, 5 candidates; it is blank"
    assert over in page
    assert "It leaves out where few rerankers are: tiny, own, 5 candidates." in page
    rows = json.loads(str(exports.export(run, "json")))
    means = {row["reranker"]: row["nDCG@10"] for row in rows if "mean" in row["dataset"]}
    assert means == {"first-stage": pytest.approx(0.15), "a": 0.375, "b": 0.375}
    buffer = io.StringIO()
    reports.show(run, screen(file=buffer, width=66))
    text = buffer.getvalue()
    assert "pipeline-of-its-own (cpu) " not in text[: text.index("at 66 columns")]
    told = "at 66 columns: tiny, own, and pipeline-of-its-own (cpu), which have nothing else, left"
    assert told in " ".join(text.split())


def test_columns_of_one_collection_are_told_apart_by_their_first_stages(tmp_path: Path) -> None:
    both = over_first_stages(tmp_path, {"bm25": ["a"], "dense": ["b"]})
    for text in (printed(both), reports.markdown(both)):
        assert "All first stages, nDCG@10" in text
        assert "it is blank where one of them is missing" in " ".join(text.split())
    assert "| reranker | tiny, bm25 | tiny, dense | mean |" in reports.markdown(both)
    assert "tiny, bm25  tiny, dense" in printed(both)
    assert "reranker & tiny, bm25 & tiny, dense & mean" in str(exports.export(both, "latex"))


def test_a_dataset_that_failed_says_so_and_has_no_table(tmp_path: Path) -> None:
    made = made_run(tmp_path, {}, failed=["first-stage", "a", "oracle"])
    text = reports.markdown(made)
    assert "Nothing was measured on tiny (bm25): it failed." in text
    assert "failed: no reason given" in text
    assert "| --- |" not in text
