"""The docs' examples run, their links lead somewhere, and the commands they show exist."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import bench
from bench.cli.main import cli
from bench.contract.request import CandidateList
from bench.core.wording import sentences
from bench.suite.suite import load
from tests.support.paths import ROOT

PAGES = [
    ROOT / "README.md",
    ROOT / "CHANGELOG.md",
    ROOT / "results" / "README.md",
    ROOT / "benchmarks" / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
]


def blocks(language: str) -> Iterator[tuple[str, str]]:
    for page in PAGES:
        for found in re.finditer(
            rf"```{language}\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL
        ):
            yield page.name, found.group(1)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_pictures_lead_to_files(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?://|#)([^)#]+)", page.read_text(encoding="utf-8"))
    missing = [target for target in targets if not (page.parent / target).exists()]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_headings_and_to_what_they_name(page: Path) -> None:
    """A link of one word, such as [sweep](performance.md#sweeps), is looked up for that word."""
    links = re.findall(r"\[([^\]\n]+)\]\((?!https?://)([^)]+)\)", page.read_text(encoding="utf-8"))
    for words, target in links:
        name, _, anchor = target.partition("#")
        file = page.parent / name if name else page
        if file.suffix != ".md":
            continue
        body = file.read_text(encoding="utf-8").lower()
        headings = re.findall(r"^#+ (.*)$", body, re.MULTILINE)
        anchors = {re.sub(r"[^\w\- ]", "", heading).replace(" ", "-") for heading in headings}
        assert not anchor or anchor in anchors, target
        assert not words.isalpha() or words.lower() in f"{name} {body}", f"[{words}]({target})"


def test_yaml_examples_are_valid_suites(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fragment is completed with what a suite needs; the files it names are made."""
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    seen = 0
    for page, text in blocks("yaml"):
        data = yaml.safe_load(text.replace("4f1c...", "4f1c"))
        if not isinstance(data, dict) or not any(
            isinstance(data.get(key), list) for key in ("datasets", "first_stages", "rerankers")
        ):
            continue
        for path in re.findall(r"(?:files:|run: |run-file: (?:{path: )?)([\w./-]+)", text):
            (work / path).mkdir(parents=True, exist_ok=True)
        for path in re.findall(r"(?:trained: |recipe: )([\w-]+\.yaml)", text):
            (work / path).write_text("name: docs\nbase: minilm-l6\ndata: embedded:everyday-train\n")
        entries = [entry for entry in data.get("rerankers", []) if "my_module" not in str(entry)]
        try:
            load(
                {"name": "example", "datasets": ["embedded:everyday"], **data, "rerankers": entries}
            )
        except Exception as error:
            raise AssertionError(f"{page}: {text}") from error
        seen += 1
    assert seen >= 4


def test_the_reranker_of_the_docs_works() -> None:
    [text] = [
        text for page, text in blocks("python") if page == "adding.md" and "LengthReranker" in text
    ]
    space: dict[str, object] = {}
    exec(text, space)
    from bench.rerankers.options import RerankerOptions

    reranker = space["LengthReranker"](RerankerOptions())  # type: ignore[operator]
    [scores] = reranker.rerank([CandidateList("q", "x", ["a", "b"], ["long text", "short"])])
    assert np.argmax(scores) == 1
    assert len([line for line in text.splitlines() if line.strip()]) <= 20


@pytest.mark.parametrize(
    "text",
    [text for page, text in blocks("python") if page == "adding.md"],
    ids=lambda text: text.splitlines()[-1][:40],
)
def test_python_examples_of_the_docs_run_and_are_short(text: str) -> None:
    if "pyterrier" in text:
        pytest.importorskip("pyterrier")
    exec(text, {})
    assert len([line for line in text.splitlines() if line.strip()]) <= 20


def test_the_first_stage_of_the_docs_runs_without_a_tie(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [text] = [text for page, text in blocks("python") if "class ByLength(" in text]
    (tmp_path / "module_of_the_docs.py").write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    stage = {"module_of_the_docs:ByLength": {"depth": 20}}
    run = bench.run(
        {
            "name": "docs",
            "datasets": ["embedded:everyday"],
            "first_stages": [stage],
            "rerankers": ["word-overlap"],
            "latency": None,
        },
        out=tmp_path / "out",
    )
    notes = [text for row in run.rows if row.name == "first-stage" for text in sentences(row.notes)]
    assert len(notes) == 1
    assert "is judged" in notes[0], "its documents are as they are"


def test_the_listwise_reranker_of_the_docs_keeps_the_contract() -> None:
    [text] = [
        text for page, text in blocks("python") if page == "adding.md" and "class Rotate(" in text
    ]
    space: dict[str, Any] = {}
    exec(text, space)
    reranker = space["Rotate"](space["RotateOptions"](by=2))
    scores, failure = reranker.rerank(
        [
            CandidateList("q", "x", ["a", "b", "c"], ["1", "2", "3"]),
            CandidateList("r", "", ["a"], ["1"]),
        ]
    )
    assert scores.tolist() == [-1, -2, 0]
    assert failure.reason == "no query"


def test_what_an_extra_brings_is_installed_by_the_page_that_needs_it() -> None:
    """Also what `--estimate` needs, which sends nothing."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    # dev is for those who work on the project, and notebook for those who run its notebooks
    extras = set(project["optional-dependencies"]) - {"dev", "notebook"}
    assert {name for name in extras if f"rerank-bench[{name}]" not in text} == set()
    for page, extra in (("judging", "api"), ("judging", "local"), ("rerankers", "api")):
        own = (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")
        assert f"rerank-bench[{extra}]" in own, page


def test_commands_in_the_docs_exist() -> None:
    """A command stands in a code block or between backticks; prose such as "rerank-bench compares"
    is none.
    """
    seen = 0
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        code = [
            block for _, block in re.findall(r"```(\w*)\n(.*?)```", text, re.DOTALL)
        ] + re.findall(r"`([^`\n]+)`", text)
        for command in re.findall(r"^rerank-bench ([a-z]+)\b", "\n".join(code), re.MULTILINE):
            assert command in cli.commands, f"{page.name}: rerank-bench {command}"
            seen += 1
    assert seen > 10


def test_the_readme_shows_every_command() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [name for name in cli.commands if f"rerank-bench {name}" not in text] == []


def test_recipes_of_the_docs_are_valid_and_the_first_one_can_be_built() -> None:
    from bench.core.progress import Observer
    from bench.training import recipe as recipes
    from bench.training import train as training
    from bench.training.entries import untuned

    pages = [text for page, text in blocks("yaml") if page == "training.md"]
    texts = [text for text in pages if "rerankers:" not in text]
    loaded = [recipes.parse(text, "training.md", ROOT) for text in texts]
    assert [recipe.name for recipe in loaded] == ["everyday-small", "cheap"]
    # a head of random weights is no first recipe: with so few queries it loses what the base knows
    assert untuned(loaded[0], ROOT).name == loaded[0].kind
    split, data = training.prepared(loaded[0], "cpu", Observer())
    assert len(split.portions.test) == 20
    assert len(split.portions.train) + len(split.portions.dev) == 40
    assert {len(row.doc_ids) - data.positives[row.query_id] for row in data.train} == {4}
