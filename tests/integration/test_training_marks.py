"""What a model was trained on is marked wherever its results on that are shown."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import bench
from bench.comparison.leaderboard import collect
from bench.comparison.pairs import compare
from bench.comparison.slices import slicings
from bench.core.errors import SuiteError
from bench.core.note import Code
from bench.datasets.embedded import collections
from bench.records.run import Run
from bench.reports import answerability, calibrated, comparison, composed, leaderboard, sliced
from bench.reports.document import Document
from bench.reports.exports import table
from bench.reports.renderers import render
from bench.reports.sections import document
from bench.suite.suite import load

FAKE = "tests.support.fakes:HashReranker"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("seen")
    shutil.copytree(Path(str(collections())) / "everyday-train", folder / "alpha")
    shutil.copytree(Path(str(collections())) / "everyday-train", folder / "beta")
    suite = {
        "name": "seen",
        "datasets": [
            {f"files:{folder / 'alpha'}": {"queries": 30, "family": "msmarco"}},
            {f"files:{folder / 'beta'}": {"queries": 12}},
        ],
        "rerankers": [
            {FAKE: {"name": "seen", "trained_on": ["mmarco"]}},
            {FAKE: {"name": "clean", "trained_on": [], "salt": "b"}},
            {FAKE: {"name": "unknown", "salt": "c"}},
            "word-overlap",
        ],
        "depth": 3,
        "latency": None,
    }
    return bench.run(suite, out=folder / "results")


def rows_of(run: Run, dataset: str) -> dict[str, bool | None]:
    return {row.name: row.is_unseen for row in run.rows if row.trial.dataset == dataset}


def test_rows_say_whether_their_collection_was_seen(run: Run) -> None:
    """A translation of what was seen counts as seen; what is not known is not none."""
    others = {"first-stage": True, "oracle": True, "word-overlap": True, "unknown": None}
    assert rows_of(run, "alpha") == {**others, "seen": False, "clean": True}
    assert rows_of(run, "beta") == {**others, "seen": True, "clean": True}


def test_a_note_names_what_was_seen(run: Run) -> None:
    noted = [row for row in run.rows if any(note.code == Code.TRAINED_ON for note in row.notes)]
    assert [(row.name, row.trial.dataset) for row in noted] == [("seen", "alpha")]
    assert set(noted[0].seen) == {"msmarco", "mmarco"}


@pytest.mark.parametrize("form", ["markdown", "html", "latex"])
def test_every_form_marks_the_cells(run: Run, form: str) -> None:
    row = next(row for row in run.rows if row.name == "seen" and row.seen)
    other = next(row for row in run.rows if row.name == "clean" and row.trial.dataset == "alpha")
    text = render(document(run, "page"), form)
    mark = "$^{t}$" if form == "latex" else "ᵗ"
    assert f"{row.quality['nDCG@10'].mean:.4f}{mark}" in text
    assert f"{other.quality['nDCG@10'].mean:.4f}{mark}" not in text


def test_a_stage_of_a_pipeline_is_marked_from_the_first_that_has_seen(tmp_path: Path) -> None:
    shutil.copytree(Path(str(collections())) / "everyday-train", tmp_path / "alpha")
    stages: list[dict[str, object]] = [
        {"bm25": {"keep": 6}},
        {"word-overlap": {"keep": 5}},
        {FAKE: {"name": "seen", "trained_on": ["mmarco"], "keep": 4}},
        {FAKE: {"name": "clean", "trained_on": [], "salt": "b"}},
    ]
    suite = {
        "name": "stages",
        "datasets": [{f"files:{tmp_path / 'alpha'}": {"queries": 12, "family": "msmarco"}}],
        "pipelines": [{"name": "cascade", "stages": stages}],
        "latency": None,
    }
    run = bench.run(suite, out=tmp_path / "out")
    (row,) = [row for row in run.rows if row.stages]
    assert [bool(seen) for seen in row.seen_by_stage] == [False, False, True, True]
    text = render(document(run, "page"), "markdown")
    section = text[text.index("Pipelines stage by stage") :]
    marked = [f"{stage.quality['nDCG@10'].mean:.4f}ᵗ" in section for stage in row.stages]
    assert marked == [False, False, True, True]


ANALYSES: dict[str, Callable[[Run], Document]] = {
    "compare": lambda run: comparison.document(compare([run]), queries=0),
    "slices": lambda run: sliced.document(slicings(run, ["difficulty"], None, None)),
    "compose": lambda run: composed.document(bench.compose(run, dataset="alpha"), limit=None),
    "leaderboard": lambda run: leaderboard.document(collect(run.folder.parent)),
    "calibrate": lambda run: calibrated.document(bench.calibrate(run, dataset="alpha")),
    "answerability": lambda run: answerability.document(bench.answerability(run, dataset="alpha")),
}


@pytest.mark.parametrize("name", ANALYSES)
def test_every_analysis_marks_the_cells_and_says_why(run: Run, name: str) -> None:
    text = render(ANALYSES[name](run), "markdown")
    marked = [line for line in text.splitlines() if line.startswith("|") and "ᵗ" in line]
    assert marked
    assert all("seen" in line for line in marked)
    assert re.search(r"ᵗ trained on (mmarco, msmarco|msmarco, mmarco)", text)


def test_means_over_unseen_collections_are_next_to_the_means(run: Run) -> None:
    rows = {(row.trial.dataset, row.name): row for row in run.rows}
    records = [row for row in json.loads(table.to_json(run)) if "mean" in row["dataset"]]
    for record in records:
        beta = rows["beta", record["reranker"]].quality["nDCG@10"].mean
        assert record["nDCG@10 unseen"] == pytest.approx(beta)
    lines = list(csv.DictReader(io.StringIO(table.to_csv(run))))
    cells = {(line["dataset"], line["reranker"]): line["unseen"] for line in lines}
    assert cells["alpha", "seen"] == "False"
    assert cells["alpha", "unknown"] == ""
    text = render(document(run, "comment"), "markdown")
    assert "Unseen is the mean over what no row is known to be trained on: beta, bm25" in text
    assert "Not known of unknown, which may have seen any of them." in text


def test_a_slip_in_the_name_of_a_family_is_refused_and_other_collections_are_not() -> None:
    entry = {"word-overlap": {"trained_on": ["msmarko"]}}
    with pytest.raises(SuiteError, match=r"trained_on: .*'msmarko': did you mean 'msmarco'\?"):
        load({"name": "s", "datasets": ["embedded:everyday"], "rerankers": [entry]})
    own = {"word-overlap": {"trained_on": ["our-tickets", "nq"]}}
    load({"name": "s", "datasets": ["embedded:everyday"], "rerankers": [own]})
