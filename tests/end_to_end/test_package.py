"""What a user gets from the wheel: the suites, the data and the command, from any folder."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.support.paths import ROOT


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a source distribution and of the wheel that was built from it: from a copy of
    what git would carry, without isolation: no network, and nothing of a build folder left in the
    tree.
    """
    copy = tmp_path_factory.mktemp("source")
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    for name in listed.stdout.splitlines():
        if (ROOT / name).is_file():
            target = copy / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((ROOT / name).read_bytes())
    out = tmp_path_factory.mktemp("wheel")
    built = subprocess.run(
        [
            sys.executable,
            "-m",
            "build",
            "--no-isolation",
            "--outdir",
            str(out),
            str(copy),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stdout[-2000:] + built.stderr[-2000:]
    return out


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    return next(built.glob("*.whl"))


def test_the_source_distribution_holds_what_tests_and_docs_need(built: Path) -> None:
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    for name in (
        "CHANGELOG.md",
        "constraints.txt",
        "docs/decisions/README.md",
        "notebooks/quickstart.ipynb",
        "results/baselines/regression/run.json",
        "tests/data/run-v1/run.json",
        "tests/support/paths.py",
    ):
        assert name in names, f"{name}: add it to MANIFEST.in"


def test_the_description_of_the_index_has_no_link_that_leads_nowhere(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        text = archive.read(name).decode()
    assert "docs/training.md" in text
    assert re.findall(r"\]\((?!https?://|#)[^)]*\)", text) == []


def test_every_module_and_data_file_is_in_the_wheel(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for path in (ROOT / "bench").rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            assert path.relative_to(ROOT).as_posix() in names, (
                f"{path.relative_to(ROOT)}: add it to pyproject.toml"
            )
    for path in (ROOT / "suites").glob("*.*"):
        assert f"bench/suites/{path.name}" in names
    for path in (ROOT / "docs").glob("*.md"):
        assert f"bench/docs/{path.name}" in names
    assert not [name for name in names if name.startswith(("tests/", "suites/", "docs/"))]


def test_the_installed_wheel_runs_a_shipped_suite_from_any_folder(
    wheel: Path, tmp_path: Path
) -> None:
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    code = (
        "import bench, sys; assert bench.__file__.startswith(sys.argv.pop(1)), "
        "bench.__file__; from bench.cli.main import main; main()"
    )
    env = {**os.environ, "PYTHONPATH": str(site), "RERANK_BENCH_CACHE": str(tmp_path / "cache")}
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", code, str(site), *arguments],
            cwd=elsewhere,
            env=env,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "quickstart" in run("list", "suites")
    assert run("show", "doc", "training").startswith("# Training")
    assert "valid" in run("validate", "quickstart")
    assert "documents            320" in run("show", "dataset", "embedded:everyday")
