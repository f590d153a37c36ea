"""The project guards itself as its users would: the suite `regression` is run and checked against
the committed baseline of that name.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest

from bench.records import baselines
from bench.records.run import Run
from tests.support.command import bench
from tests.support.paths import ROOT

GATES = "suites/gates/regression.yaml"
STALE = "where this change is meant, save the baseline anew: make baseline"


def test_scores_and_quality_are_those_of_the_committed_baseline(
    regression_run: Run, tmp_path: Path
) -> None:
    verdict, junit = tmp_path / "verdict.json", tmp_path / "junit.xml"
    sent = ("--format", "table", "--format", f"json:{verdict}", "--format", f"junit:{junit}")
    done = bench(
        "check",
        str(regression_run.folder),
        "--baseline",
        "regression",
        "--gates",
        GATES,
        *sent,
        cwd=ROOT,
    )
    assert done.returncode == 0, f"{done.stdout}{done.stderr}\n{STALE}"
    gates = json.loads(verdict.read_text())["gates"]
    rerankers = ("word-overlap", "minilm-bi-encoder", "minilm-cross-encoder")
    asked = ("quality nDCG@10", "quality RR@10", "drift", "failures")
    assert {(one["trial"]["reranker"], one["gate"]) for one in gates} == {
        (name, gate) for name in rerankers for gate in asked
    }
    assert all(one["outcome"] == "pass" and one["decides"] for one in gates)
    assert all(one["numbers"]["queries"] == 80 for one in gates if one["gate"] == "drift")
    root = ElementTree.parse(junit).getroot()
    assert (root.get("tests"), root.get("failures"), root.get("errors"), root.get("skipped")) == (
        "12",
        "0",
        "0",
        "0",
    )


@pytest.mark.parametrize("name", ["regression", "quickstart"])
def test_a_committed_baseline_is_small_and_names_nothing_of_its_author(name: str) -> None:
    folder = ROOT / "results" / "baselines" / name
    run = Run(folder)
    assert baselines.size(folder) < 300_000
    assert run.info.command == ""
    text = "".join(path.read_text() for path in folder.rglob("*.json"))
    assert not [word for word in ("/home/", "/root", "/tmp", "/work", "Users") if word in text]
    assert name in baselines.saved(ROOT / "results" / "baselines")


def test_the_baseline_is_committed_and_other_results_are_not() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    ignored = subprocess.run(
        [
            "git",
            "check-ignore",
            "results/regression/x/run.json",
            "results/baselines/regression/run.json",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if ignored.returncode not in (0, 1):
        pytest.skip(f"git does not answer here: {ignored.stderr.strip()}")
    assert ignored.stdout.split() == ["results/regression/x/run.json"]
