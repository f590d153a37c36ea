"""Whatever lies in the folder where somebody works: a bench.py, a json.py, a numpy.py. It breaks
nothing, and their own module is found.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from bench.latency.fresh_process import ask
from bench.latency.timed_pass import Recipe
from tests.support.made_collections import write_collection

HOSTILE = ("json", "random", "numpy", "pandas", "types", "yaml", "click", "logging", "utils")
CLASS = """
from helper import words  # next to it, and found too
from bench.rerankers.base import Description, PointwiseReranker

class Mine(PointwiseReranker):
    def fingerprint(self):
        return {}

    def describe(self):
        return Description("mine", {})

    def score(self, pairs):
        return [float(len(words(query) & words(doc))) for query, doc in pairs]
"""
SUITE = """
name: mine
datasets: [files:tiny]
rerankers: [{"my_module:Mine": {name: mine}}]
depth: 5
devices: cpu
latency: {scenarios: [cold], cold_runs: 1, queries: 2}
"""


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """A working folder with modules that nobody but its owner should import."""
    write_collection(tmp_path / "tiny")
    for name in HOSTILE:
        (tmp_path / f"{name}.py").write_text(
            f"raise SystemExit('{name}.py of the working folder was imported')\n"
        )
    (tmp_path / "my_module.py").write_text(CLASS)
    (tmp_path / "helper.py").write_text("def words(text):\n    return set(text.split())\n")
    (tmp_path / "suite.yaml").write_text(SUITE)
    return tmp_path


def run_in(folder: Path, command: list[str]) -> subprocess.CompletedProcess[str]:
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in ("PYTHONPATH", "PYTHONSAFEPATH")
    }
    environment |= {"MPLBACKEND": "Agg", "COLUMNS": "200"}
    return subprocess.run(
        command,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def rerank_bench() -> list[str]:
    script = Path(sys.executable).parent / "rerank-bench"
    if not script.exists():
        pytest.skip("the command is not installed")
    return [str(script)]


@pytest.mark.parametrize("module", [False, True])
def test_the_command_runs_a_suite_and_a_cold_start_there(hostile: Path, module: bool) -> None:
    command = [sys.executable, "-m", "bench"] if module else rerank_bench()
    if not module:
        (hostile / "bench.py").write_text(
            "raise SystemExit('bench.py of the working folder was imported')\n"
        )
    done = run_in(hostile, [*command, "run", "suite.yaml", "--quiet"])
    assert done.returncode == 0, done.stdout + done.stderr
    assert "of the working folder" not in done.stdout + done.stderr
    report = next((hostile / "results" / "mine").glob("*/report.md")).read_text()
    assert "gave no answer" not in report


def test_with_a_package_of_our_name_the_module_is_run_by_its_safe_way(hostile: Path) -> None:
    (hostile / "bench").mkdir()
    (hostile / "bench" / "__init__.py").write_text(
        "raise SystemExit('bench/ of the working folder was imported')\n"
    )
    done = run_in(hostile, [sys.executable, "-P", "-m", "bench", "validate", "suite.yaml"])
    assert (done.returncode, "valid" in done.stdout) == (0, True), done.stdout + done.stderr


def test_a_module_next_to_the_suite_is_found_from_elsewhere(
    hostile: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    shutil.copy(hostile / "json.py", elsewhere / "json.py")
    done = run_in(elsewhere, [*rerank_bench(), "run", str(hostile / "suite.yaml"), "--quiet"])
    assert done.returncode == 0, done.stdout + done.stderr
    report = next((elsewhere / "results" / "mine").glob("*/report.md")).read_text()
    assert "gave no answer" not in report


def test_a_fresh_process_imports_what_this_one_would(
    hostile: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (hostile / "bench.py").write_text(
        "raise SystemExit('bench.py of the working folder was imported')\n"
    )
    monkeypatch.chdir(hostile)
    request = {"query_id": "q", "query": "apple", "doc_ids": ["d"], "docs": ["an apple"]}
    recipe = asdict(Recipe("my_module:Mine", {}, "."))
    answer = ask({"task": "cold", "recipe": recipe, "request": request, "started": 0}, 120)
    assert answer["nanoseconds"]["total"] > 0
