"""scripts/gpu_check.py without a GPU: its dry run takes the same way, and what hangs, dies or is
damaged costs itself alone.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from tests.support.paths import ROOT

SCRIPTS = ROOT / "scripts"
sys.path.insert(0, str(SCRIPTS))

import gpu_check  # noqa: E402
import gpu_report  # noqa: E402
import gpu_wheels  # noqa: E402

FAKE = """
import os, sys, time, json
if "--describe" in sys.argv:
    versions = {"torch": "1", "python": "3", "pytest": None}
    pieces = [{"name": "hangs", "limit_s": 60}]
    print(json.dumps({"device": "fake", "gpu": {}, "versions": versions, "pieces": pieces}))
    sys.exit()
names = [name for name in sys.argv[1:] if not name.startswith("-")]
results, names = names[0], names[1:]
for name in names:
    print("begin " + name, flush=True)
    if name == "hangs":
        time.sleep(60)
    if name == "dies":
        os._exit(9)
    with open(results, "a") as file:
        file.write(json.dumps({"kind": "piece", "name": name, "status": "done"}) + "\\n")
        if name == "half":
            file.write('{"kind": "architecture", "model": "mini')
    print("end " + name, flush=True)
    if name == "breaks":
        sys.exit(1)
"""


@pytest.fixture
def steps(tmp_path: Path) -> Path:
    """A stand-in for the worker, which does pieces or fails to, and imports no library."""
    fake = tmp_path / "fake_steps.py"
    fake.write_text(FAKE)
    return fake


@pytest.fixture
def log(steps: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> gpu_check.Log:
    """The results of pieces that the stand-in does, or fails to do."""
    monkeypatch.setattr(gpu_check, "STEPS", steps)
    (tmp_path / "out").mkdir()
    return gpu_check.Log(tmp_path / "out")


def outcomes(
    log: gpu_check.Log, *names: str, seconds: float = 60, limit_s: float = 30
) -> dict[str, str]:
    """Piece -> how it ended."""
    pieces = [{"name": name, "limit_s": 0.5 if name == "hangs" else limit_s} for name in names]
    gpu_check.run_pieces(pieces, log, dict(os.environ), True, time.monotonic() + seconds)
    return {line["name"]: line["status"] for line in log.lines() if line["kind"] == "piece"}


def test_a_dry_run_does_every_piece_and_leaves_a_report(tmp_path: Path) -> None:
    """As on a bare machine: no home folder, no git, no nvidia-smi, and another working folder."""
    out = tmp_path / "out"
    environment = {
        **os.environ,
        "HOME": "/nonexistent",
        "PATH": "/nonexistent",
        "OMP_NUM_THREADS": "1",
    }
    environment.pop("RERANK_BENCH_CACHE", None)
    command = [
        sys.executable,
        str(SCRIPTS / "gpu_check.py"),
        "--dry-run",
        "--out",
        str(out),
        "--budget-s",
        "600",
    ]
    answer = subprocess.run(
        command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=650
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr
    lines = [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]
    pieces = {line["name"]: line["status"] for line in lines if line["kind"] == "piece"}
    planned = [piece["name"] for piece in lines[0]["pieces"]]
    assert set(pieces) == {*planned, "tests"}
    assert set(pieces.values()) == {"done"}
    assert lines[0]["commit"] is None
    assert lines[-1]["kind"] == "end"
    rows = [
        line
        for line in lines
        if line["kind"] == "architecture" and line["device"] == "cpu" and "p50_ms" in line
    ]
    assert {row["dtype"] for row in rows} == {"bfloat16", "float16", "float32"}
    assert all(row["tflops"] > 0 for row in rows if "tflops" in row)
    assert {line["dtype"] for line in lines if line["kind"] == "matrix"} == {
        "bfloat16",
        "float16",
        "float32",
        "tf32",
        "copy",
    }
    assert all(
        line["max_difference"] == 0
        for line in lines
        if line["kind"] == "agreement" and line["dtype"] == "float32"
    )
    passes = [line for line in lines if line["kind"] == "forward"]
    assert {(row["way"], row["pairs"]) for row in passes} == set(
        product(("as Python starts it", "compiled", "one graph"), (8, 48))
    )
    assert all(row["max_difference"] == 0 and row["ms"] > 0 for row in passes)
    report = (out / "report.md").read_text()
    assert "A dry run" in report
    assert "below 100 ms" not in report, "a claim about a GPU is not judged by a dry run"
    assert sorted(path.name for path in out.iterdir()) == ["log.txt", "report.md", "results.jsonl"]


def test_what_hangs_or_dies_costs_itself_alone(log: gpu_check.Log) -> None:
    found = outcomes(log, "one", "hangs", "two", "dies", "three", "breaks", "four")
    assert found == {
        "one": "done",
        "hangs": "failed",
        "two": "done",
        "dies": "failed",
        "three": "done",
        "breaks": "done",
        "four": "done",
    }
    reasons = {line["name"]: line.get("reason") for line in log.lines()}
    assert reasons["hangs"] == "not done within 0.5 s"
    assert reasons["dies"] == "the worker ended with 9; log.txt says more"
    assert "hangs: failed, not done within 0.5 s" in (log.folder / "report.md").read_text()


def test_the_time_for_everything_is_kept(log: gpu_check.Log) -> None:
    assert outcomes(log, "hangs", "two", seconds=0) == {"hangs": "left out", "two": "left out"}


def test_a_line_that_was_cut_off_is_passed_over(log: gpu_check.Log) -> None:
    outcomes(log, "half")
    assert [line["kind"] for line in log.lines()] == ["piece"]
    assert gpu_report.page(log.lines())


WITH_STEPS = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv.pop(1))
import gpu_check
gpu_check.STEPS = Path(sys.argv.pop(1))
sys.exit(gpu_check.main())
"""


def test_an_end_from_outside_ends_the_worker(steps: Path, tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-c",
        WITH_STEPS,
        str(SCRIPTS),
        str(steps),
        "--dry-run",
        "--out",
        str(tmp_path / "out"),
        "--no-tests",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        assert "results in" in running.stdout.readline()
        assert "hangs" in running.stdout.readline()
        running.send_signal(signal.SIGTERM)
        assert running.wait(30) == 143
    time.sleep(0.2)
    assert not [
        path
        for path in Path("/proc").glob("[0-9]*/cmdline")
        if str(tmp_path).encode() in _read(path)
    ]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def test_without_a_gpu_it_says_so(tmp_path: Path) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is one")
    command = [sys.executable, str(SCRIPTS / "gpu_check.py"), "--out", str(tmp_path / "out")]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (answer.returncode, answer.stderr) == (
        2,
        "no CUDA device: `--dry-run` tries the script on the CPU\n",
    )
    assert not (tmp_path / "out").exists()


def test_wheels_are_unpacked_where_their_package_is_missing(tmp_path: Path) -> None:
    wheels, site = tmp_path / "wheels", tmp_path / "site"
    wheels.mkdir()
    names = [
        "not_here-1.0-py3-none-any.whl",
        "numpy-1.0-py3-none-any.whl",
        "of_another-1.0-cp27-cp27m-linux_x86_64.whl",
    ]
    for name in names:
        with zipfile.ZipFile(wheels / name, "w") as archive:
            package = name.split("-")[0]
            archive.writestr(f"{package}/__init__.py", "value = 1")
            archive.writestr(f"{package}-1.0.data/purelib/{package}_more.py", "value = 2")
    assert gpu_wheels.unpack(wheels, site) == ["not-here"]
    assert (site / "not_here" / "__init__.py").is_file()
    assert (site / "not_here_more.py").is_file()
    assert not (site / "numpy").exists()


@pytest.mark.parametrize(
    ("wheel", "expected"),
    [
        ("a-1-py3-none-any.whl", True),
        ("a-1-py2.py3-none-any.whl", True),
        ("a-1-cp312-cp312-manylinux_2_17_x86_64.manylinux2014_x86_64.whl", True),
        ("a-1-cp39-abi3-manylinux_2_28_x86_64.whl", True),
        ("a-1-cp313-abi3-manylinux_2_28_x86_64.whl", False),
        ("a-1-cp311-cp311-manylinux_2_28_x86_64.whl", False),
    ],
)
def test_a_wheel_fits_a_python(wheel: str, expected: bool) -> None:
    assert gpu_wheels.fits(wheel, (3, 12)) is expected


def test_the_packages_that_are_needed_are_found_without_torch() -> None:
    names = {line.partition("==")[0] for line in gpu_wheels.needed(gpu_wheels.MEASURE)}
    assert {"pydantic", "pydantic-core", "transformers", "tokenizers", "safetensors"} <= names
    assert "torch" not in names


def test_results_of_tests_are_counted(tmp_path: Path) -> None:
    def of(*cases: str, **options: Any) -> dict[str, object]:
        (tmp_path / "tests.xml").write_text(
            f"<testsuites><testsuite>{''.join(cases)}</testsuite></testsuites>"
        )
        counts: dict[str, object] = gpu_report.tests(
            tmp_path / "tests.xml", may_skip_all=options.get("may_skip_all", False)
        )
        return counts

    good, skipped = (
        '<testcase classname="t" name="a"/>',
        '<testcase classname="t" name="b"><skipped/></testcase>',
    )
    bad = '<testcase classname="t" name="c"><failure/></testcase>'
    assert of(good, skipped) == {"status": "done", "passed": 1, "failed": 0, "skipped": 1}
    assert of(skipped)["status"] == "failed", "silence is no success"
    assert of(skipped, may_skip_all=True)["status"] == "done"
    assert of(good, bad)["reason"] == "1 failed: t.c"
    assert gpu_report.tests(tmp_path / "none.xml", may_skip_all=True)["status"] == "failed"
