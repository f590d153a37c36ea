"""Runs over queries that nobody has judged, and over judgments that a model made: the former
measure nothing, the latter say so wherever a quality is shown.
"""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import Any

import pytest
import yaml

import bench as api
from bench.core.errors import DataError
from bench.datasets import load
from bench.datasets.provenance import path_of
from bench.reports import plots
from tests.support import fake_judge
from tests.support.command import Ended, bench
from tests.support.fake_cohere import serve

MARK = "judgments are by a model, grader-1-2026-01-01 (prompt umbrela); no person has checked it"


@dataclass
class Home:
    """A folder with a suite of unjudged queries, its run, judgments, and a run that uses them."""

    folder: Path
    qrels: Path

    def __call__(self, *arguments: str, width: int = 200) -> Ended:
        cache = str(self.folder / "cache")
        return bench(*arguments, cwd=self.folder, width=width, RERANK_BENCH_CACHE=cache)


def suite(name: str, qrels: str) -> dict[str, Any]:
    dataset = {"embedded:everyday": {"queries": 8, "qrels": qrels}}
    plain = {"name": name, "datasets": [dataset], "devices": "cpu", "latency": None}
    return {**plain, "rerankers": ["word-overlap"], "depth": 20}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    folder = tmp_path_factory.mktemp("home")
    qrels = folder / "judged" / "fresh" / "everyday" / "qrels.txt"
    own = Home(folder, qrels)
    (folder / "fresh.yaml").write_text(yaml.safe_dump(suite("fresh", "none")))
    judged = suite("judged", str(qrels.relative_to(folder)))
    (folder / "judged.yaml").write_text(yaml.safe_dump(judged))
    run: Callable[[str], Ended] = lambda name: own("run", name, "-q")  # noqa: E731
    assert run("fresh.yaml").returncode == 0
    with serve() as fake:
        fake.start_over(fake_judge.good)
        address = ("--base-url", f"{fake.url}/v1", "--depth", "3", "-q")
        ended = own("judge", "results/fresh", "--with", "openai-chat:grader-1", *address)
    assert ended.returncode == 0, ended.stderr
    assert run("judged.yaml").returncode == 0
    return own


def test_rows_of_unjudged_queries_are_ranked_and_not_measured(home: Home) -> None:
    ended = home("validate", "fresh.yaml")
    assert ended.returncode == 0
    assert "none: nothing is measured" in ended.stdout
    (folder,) = (home.folder / "results" / "fresh").iterdir()
    for path in (folder / "records").glob("*.json"):
        record = json.loads(path.read_text())
        assert (record["quality"], record["vs_first_stage"]) == ({}, {})
        assert record["counts"]["queries"] == 8
    text = (folder / "report.md").read_text()
    assert "none of 8 queries has a judgment yet" in text
    assert "nDCG@10 |" not in text
    assert home("verify", "results/fresh").returncode == 0


def test_whatever_else_a_suite_asks_for_needs_no_judgments(home: Home) -> None:
    sweep = {"queries": 3, "scenarios": ["single"], "sweep": {"depths": [5, 10]}}
    more = {"measures": ["nDCG@10", "ECE"], "slices": ["length"], "latency": sweep}
    rerankers = ["word-overlap", "tests.support.fakes:HashReranker"]
    plain = {**suite("swept", "none"), **more, "rerankers": rerankers}
    (home.folder / "swept.yaml").write_text(yaml.safe_dump(plain))
    ended = home("run", "swept.yaml", "-q", "--out", "swept")
    assert ended.returncode == 0, ended.stderr
    ended = home("probe", "swept.yaml", "--reranker", "word-overlap")
    assert ended.returncode == 2
    assert "nobody has judged its queries yet, and a probe compares quality" in ended.stderr


@pytest.mark.parametrize(
    "command",
    [
        ("compare",),
        ("compose",),
        ("slices", "--by", "length"),
        ("calibrate",),
        ("export", "--format", "csv"),
        ("export", "--format", "mteb"),
    ],
    ids=lambda command: "-".join(command[:1] + command[2:]),
)
def test_what_needs_a_measure_says_that_nobody_has_judged(
    home: Home, command: tuple[str, ...]
) -> None:
    ended = home(command[0], "results/fresh", *command[1:])
    assert ended.returncode == 2
    assert "nobody has judged its queries yet, and nothing was measured" in ended.stderr


@pytest.mark.parametrize(
    "command",
    [
        ("compare",),
        ("compare", "--format", "markdown"),
        ("compare", "--format", "json"),
        ("compare", "--format", "csv"),
        ("slices", "--by", "length"),
        ("compose",),
        ("compose", "--format", "csv"),
        ("calibrate",),
        ("answerability",),
        ("verify", "--rescore", "0"),
        ("verify", "--rescore", "0", "--format", "json"),
        ("export", "--format", "csv"),
        ("export", "--format", "json"),
        ("export", "--format", "latex"),
        ("export", "--format", "model-card"),
        ("report",),
    ],
    ids="-".join,
)
def test_every_table_says_that_a_model_judged(home: Home, command: tuple[str, ...]) -> None:
    ended = home(command[0], "results/judged", *command[1:])
    assert ended.returncode == 0, ended.stderr
    words = " ".join(ended.stdout.replace("\\_", "_").split())
    assert MARK in words


def test_reports_and_lists_of_runs_say_so(home: Home) -> None:
    (folder,) = (home.folder / "results" / "judged").iterdir()
    for name in ("report.md", "report.html"):
        assert MARK in (folder / name).read_text().replace("\\_", "_")
    for form in ("table", "markdown", "csv", "json"):
        ended = home("leaderboard", "results", "--format", form)
        assert MARK in " ".join(ended.stdout.split()), form
    home("export", "results/judged", "--format", "mteb", "--out", "mteb")
    (path,) = (home.folder / "mteb").rglob("*.json")
    assert MARK in json.loads(path.read_text())["rerank_bench"]["judged_by"]


def test_pictures_and_notebooks_say_so(home: Home) -> None:
    (folder,) = (home.folder / "results" / "judged").iterdir()
    run = api.load(folder)
    views = (api.calibrate(run), api.answerability(run), api.compose(run), run)
    for view in views:
        assert MARK in " ".join(unescape(view._repr_html_()).split()), type(view)
    pictures = list(plots.draw(run, "per-query"))
    assert pictures
    for picture in pictures:
        assert MARK in " ".join(picture.figure.get_supxlabel().split())


def test_frames_say_so_and_those_of_people_have_no_such_column(home: Home) -> None:
    (folder,) = (home.folder / "results" / "judged").iterdir()
    run = api.load(folder)
    frames = {
        "run": run.to_frame(),
        "compare": api.compare(run),
        "slices": api.slices(run, "length"),
        "compose": api.compose(run).to_frame(),
        "calibrate": api.calibrate(run).to_frame(),
    }
    for name, frame in frames.items():
        # the run's own table has a row of the oracle, too
        assert frame["judged_by"].str.contains(MARK, regex=False).all(), name
    people = {**suite("people", "none"), "datasets": [{"embedded:everyday": {"queries": 8}}]}
    (home.folder / "people.yaml").write_text(yaml.safe_dump(people))
    assert home("run", "people.yaml", "-q").returncode == 0
    (folder,) = (home.folder / "results" / "people").iterdir()
    assert "judged_by" not in api.compare(folder).columns
    assert "judged_by" not in api.slices(folder, "length").columns


def test_probes_over_judgments_of_a_model_say_so(home: Home) -> None:
    arguments = ("probe", "judged.yaml", "--reranker", "word-overlap", "--probe", "title", "-q")
    for form in ("table", "markdown", "json"):
        ended = home(*arguments, "--format", form)
        assert ended.returncode == 0, ended.stderr
        assert MARK in " ".join(ended.stdout.split()), form
    (path,) = (home.folder / "results" / "probes").glob("*.json")
    assert MARK in json.loads(path.read_text())["judged_by"]
    # the run's report names the probes of its rows, and who judged those
    ended = home("report", "results/judged")
    (folder,) = (home.folder / "results" / "judged").iterdir()
    (line,) = [line for line in (folder / "report.md").read_text().splitlines() if "hold" in line]
    assert MARK in line
    probes = api.probe(home.folder / "judged.yaml", probes=["title"])
    assert MARK in " ".join(unescape(probes._repr_html_()).split())
    assert probes.to_frame()["judged_by"].str.contains(MARK, regex=False).all()
    assert "judged_by" not in api.probe("word-overlap", probes=["title"]).to_frame().columns


def test_the_gate_says_so_in_every_form(home: Home) -> None:
    (baseline,) = (home.folder / "results" / "judged").iterdir()
    home("run", "judged.yaml", "-q", "--out", "again")
    for form in ("table", "markdown", "json", "junit", "github"):
        ended = home(
            "check",
            "again/judged",
            "--baseline",
            str(baseline),
            "--format",
            form,
            "--format",
            f"{form}:{form}.txt",
        )
        assert ended.returncode == 0, ended.stderr
        assert MARK in " ".join(ended.stdout.split()), form
        if form != "table":
            assert MARK in " ".join((home.folder / f"{form}.txt").read_text().split()), form


def test_validate_names_the_judge(home: Home) -> None:
    ended = home("validate", "judged.yaml")
    assert "34 of 34 by a model, grader-1-2026-01-01" in ended.stdout


def test_judgments_are_found_where_they_are_named(home: Home, tmp_path: Path) -> None:
    options = {"queries": 8, "qrels": str(home.qrels)}
    dataset = load("embedded:everyday", options, tmp_path)
    assert dataset.judge is not None
    assert (dataset.judge["model"], dataset.judge["judged"]) == ("grader-1-2026-01-01", 34)
    with pytest.raises(DataError, match=r"gone\.txt: cannot be read: No such file"):
        load("embedded:everyday", {"qrels": "gone.txt"}, tmp_path)


def test_judgments_that_were_changed_since_are_named(home: Home, tmp_path: Path) -> None:
    qrels = tmp_path / "qrels.txt"
    lines = home.qrels.read_text().splitlines()
    qrels.write_text("\n".join(lines[1:]))
    path_of(qrels).write_text(path_of(home.qrels).read_text())
    dataset = load("embedded:everyday", {"qrels": "qrels.txt"}, tmp_path)
    assert dataset.judge is not None
    assert dataset.judge["changed"]
    path_of(qrels).write_text('{"judge": "x"}')
    with pytest.raises(DataError, match=r"provenance\.json: option 'model': is missing"):
        load("embedded:everyday", {"qrels": "qrels.txt"}, tmp_path)


def test_a_folder_without_judgments_can_be_ranked(tmp_path: Path) -> None:
    (tmp_path / "docs.jsonl").write_text('{"doc_id": "d1", "text": "hot tea"}\n')
    (tmp_path / "queries.tsv").write_text("q1\ttea\nq2\tmilk\n")
    dataset = load(f"files:{tmp_path}", {"qrels": "none"}, Path())
    assert dataset.qrels == {"q1": {}, "q2": {}}
    assert dataset.is_unjudged
    with pytest.raises(DataError, match=r"is there, but no qrels\.txt.*the option qrels: none"):
        load(f"files:{tmp_path}", {}, Path())


@pytest.fixture
def review(home: Home, tmp_path: Path) -> Home:
    """The same with a folder of judgments of its own, from which a sample was drawn."""
    judged = home.folder / "judged" / "fresh"
    own = tmp_path / "judged"
    shutil.copytree(judged, own)
    again = Home(home.folder, own / "everyday" / "qrels.txt")
    ended = again("judge", "results/fresh", "--review", "24", "--out", str(own))
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.split()[1::2] == [
        str(own / "everyday" / "review.csv"),
        str(own / "everyday" / "review.html"),
    ]
    return again


def graded(review: Home, grade: Callable[[int], int]) -> Path:
    """Return a CSV with a person's grades, each made of the model's."""
    folder = review.qrels.parent
    sample = json.loads((folder / "review.json").read_text())
    lines = ["pair,grade"]
    for name, member in sample["pairs"].items():
        lines.append(f"{name},{grade(member['grade'])}")
    path = folder / "back.csv"
    path.write_text("\n".join(lines))
    return path


def test_a_review_comes_back_as_agreement_and_bounds(review: Home) -> None:
    folder = review.qrels.parent
    table = (folder / "review.csv").read_text()
    assert len(list(csv.reader(io.StringIO(table)))) == 25
    out = ("--out", str(folder.parent))
    back = graded(review, lambda grade: min(grade, 2))
    ended = review("judge", "results/fresh", "--reviewed", str(back), *out, "--format", "json")
    assert ended.returncode == 0, ended.stderr
    data = json.loads(ended.stdout)
    assert data["pairs"] == 24
    assert data["kappa"]["low"] <= data["kappa"]["value"] <= data["kappa"]["high"] < 1
    assert data["confusion"][3][2] > 0 == data["confusion"][3][3]
    (first, row) = data["rows"]
    assert first["difference"] is None
    assert row["difference"]["low"] < row["difference"]["corrected"] < row["difference"]["high"]
    ended = review("judge", "results/fresh", "--reviewed", str(back), *out)
    assert "openai" not in ended.stdout
    assert "agree with kappa" in ended.stdout
    own = load("embedded:everyday", {"queries": 8, "qrels": str(review.qrels)}, Path())
    assert own.judge is not None
    assert (own.judge["reviewed"], own.judge.get("changed")) == (24, None)
    assert own.judge["kappa"] == pytest.approx(data["kappa"]["value"])


def test_the_measured_values_of_bounds_are_those_of_a_run(review: Home) -> None:
    back = graded(review, lambda grade: grade)
    out = ("--out", str(review.qrels.parent.parent))
    ended = review("judge", "results/fresh", "--reviewed", str(back), *out, "--format", "json")
    data = json.loads(ended.stdout)
    assert data["kappa"]["value"] == 1
    (folder,) = (review.folder / "results" / "judged").iterdir()
    for row in data["rows"]:
        record = json.loads((folder / "records" / f"{row['trial']}.json").read_text())
        assert row["value"]["measured"] == pytest.approx(record["quality"]["nDCG@10"]["mean"])


def test_a_review_of_other_judgments_is_refused(review: Home) -> None:
    back = graded(review, lambda grade: grade)
    lines = review.qrels.read_text().splitlines()
    review.qrels.write_text("\n".join(lines[1:]))
    out = ("--out", str(review.qrels.parent.parent))
    ended = review("judge", "results/fresh", "--reviewed", str(back), *out)
    assert ended.returncode == 2
    assert "was written anew since the sample was drawn" in ended.stderr
    for words in ((), ("--review", "3", "--reviewed", "x")):
        ended = review("judge", "results/fresh", *out, *words)
        assert ended.returncode == 2
        assert "name a judge with --with, draw a sample" in ended.stderr


def test_a_person_grades_on_the_page_and_downloads_the_csv(review: Home, tmp_path: Path) -> None:
    chromium = next(filter(None, map(shutil.which, ("chromium", "google-chrome"))), None)
    if chromium is None:
        pytest.skip("no Chromium here")
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    words: list[str] = []
    with sync_api.sync_playwright() as playwright:
        options = ["--no-sandbox", "--disable-gpu"]
        browser = playwright.chromium.launch(executable_path=chromium, args=options)
        context = browser.new_context()
        page = context.new_page()
        page.on("console", lambda message: words.append(message.text))
        page.on("pageerror", lambda error: words.append(str(error)))
        page.goto((review.qrels.parent / "review.html").as_uri())
        assert page.locator("#progress").inner_text() == "0 graded"
        first = page.locator("#query").inner_text()
        page.keyboard.press("2")
        assert page.locator("#title").inner_text() == "everyday, pair 2 of 24"
        page.get_by_role("button", name="0 has nothing to do").click()
        page.keyboard.press("ArrowLeft")
        page.keyboard.press("ArrowLeft")
        assert page.locator("#query").inner_text() == first
        assert page.locator("button[aria-pressed=true]").inner_text().startswith("2")
        # the browser writes what a page keeps a moment later: the page that kept it stays open
        later = context.new_page()
        for _ in range(40):
            later.goto(page.url)
            if later.locator("#progress").inner_text() == "2 graded":
                break
            later.wait_for_timeout(250)
        assert later.locator("#progress").inner_text() == "2 graded"
        with later.expect_download() as download:
            later.get_by_role("button", name="Download review.csv").click()
        path = tmp_path / "downloaded.csv"
        download.value.save_as(path)
        browser.close()
    assert words == []
    assert path.read_text().splitlines()[:4] == ["pair,grade", "p01,2", "p02,0", "p03,"]
    out = ("--out", str(review.qrels.parent.parent))
    ended = review("judge", "results/fresh", "--reviewed", str(path), *out)
    assert ended.returncode == 0, ended.stderr
    assert "22 pairs of the sample have no grade yet" in ended.stdout
