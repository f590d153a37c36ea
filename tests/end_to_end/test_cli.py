"""The command as a user types it: its exit code, what it says, what it leaves. Once as a process,
and where a signal ends it; else in this one.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from bench.cli.main import INTERRUPTED
from tests.support.command import bench, bench_process
from tests.support.paths import ROOT
from tests.support.processes import heed_interrupts


def write_suite(folder: Path, collection: Path, **more: object) -> Path:
    suite = {
        "name": "tiny",
        "datasets": [f"files:{collection.name}"],
        "rerankers": [
            {"tests.support.fakes:HashReranker": {"name": "fake"}},
            {"tests.support.fakes:MissingReranker": {"name": "gone", "optional": True}},
        ],
        "latency": {"queries": 3, "rounds": 1, "warmup_max": 3},
        "devices": "cpu",
        **more,
    }
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump(suite))
    return path


def test_a_run_prints_its_table_and_the_paths_of_the_report(
    collection: Path, tmp_path: Path
) -> None:
    write_suite(tmp_path, collection)
    done = bench_process("run", "tiny.yaml", "--out", "out", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for expected in (
        "first-stage",
        "fake",
        "gone",
        "skipped: no FAKE_API_KEY",
        "oracle",
        "nDCG@10",
        "p50 ms",
        "report.md",
        ".png",
    ):
        assert expected in done.stdout
    report = next(
        Path(line.split()[-1]) for line in done.stdout.splitlines() if line.startswith("report")
    )
    assert (tmp_path / report).is_file()
    assert (
        max(map(len, done.stdout.replace(str(tmp_path), "").split("report")[0].splitlines())) <= 80
    )


def test_a_wide_terminal_shows_intervals_and_more_columns(collection: Path, tmp_path: Path) -> None:
    write_suite(tmp_path, collection)
    done = bench("run", "tiny.yaml", "--quiet", cwd=tmp_path, width=140)
    assert "95 %" in done.stdout
    assert "ms/pair" in done.stdout
    assert "Judged@10" in done.stdout


def test_the_same_suite_again_says_that_scores_came_from_the_cache(
    collection: Path, tmp_path: Path
) -> None:
    write_suite(tmp_path, collection)
    first = bench("run", "tiny.yaml", "--no-latency", "-q", cwd=tmp_path)
    again = bench("run", "tiny.yaml", "--no-latency", "-q", cwd=tmp_path)
    assert "from the cache" not in first.stdout
    assert "the scores of 4 of 4 queries came from the cache" in again.stdout
    assert len(list((tmp_path / "results" / "tiny").iterdir())) == 2


def test_what_rows_of_one_run_share_did_not_come_from_the_cache(
    collection: Path, tmp_path: Path
) -> None:
    """The last row asks for what the two before it have scored."""
    part = "tests.support.fakes:HashReranker"
    rows = [{part: {"name": "one"}}, {part: {"name": "other", "salt": "other"}}]
    fused = {"fuse": {"of": rows, "name": "fused"}}
    write_suite(tmp_path, collection, rerankers=[*rows, fused])
    first = bench("run", "tiny.yaml", "--no-latency", "-q", cwd=tmp_path)
    again = bench("run", "tiny.yaml", "--no-latency", "-q", cwd=tmp_path)
    assert "from the cache" not in first.stdout
    assert "the scores of 12 of 12 queries came from the cache" in again.stdout


def test_a_failed_reranker_exits_2_and_the_others_are_recorded(
    collection: Path, tmp_path: Path
) -> None:
    write_suite(
        tmp_path,
        collection,
        rerankers=[{"tests.support.fakes:HashReranker": {"name": "bad", "crash": "paper jam"}}],
    )
    done = bench("run", "tiny.yaml", "-q", "--no-latency", cwd=tmp_path)
    assert done.returncode == 2
    assert "bad failed: RuntimeError: paper jam" in done.stderr
    assert "Traceback" not in done.stderr + done.stdout
    assert "oracle" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("run", "no-such-suite"), "there is no suite 'no-such-suite'"),
        (("run", "missing.yaml"), "missing.yaml: there is no such suite file"),
        (("report", "nowhere"), "neither a run folder"),
        (("show", "reranker", "minilm-l7"), "did you mean 'minilm-l"),
        (("show", "dataset", "files:nowhere"), "nowhere"),
        (("run", "quickstart", "--device", "gpu"), "not a device"),
        (("run", "quickstart", "--device", "cuda:9"), "no cuda:9 device"),
        (("list", "nothing"), "Invalid value"),
        (("frobnicate",), "No such command"),
    ],
)
def test_a_mistake_is_one_clear_error_and_exit_code_2(
    tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    done = bench(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "results").exists()


def test_a_bad_suite_names_file_line_and_fix(collection: Path, tmp_path: Path) -> None:
    path = write_suite(tmp_path, collection)
    path.write_text(path.read_text().replace("datasets:", "dataset:"))
    done = bench("validate", "tiny.yaml", cwd=tmp_path)
    assert done.returncode == 2
    assert "tiny.yaml:1: dataset: unknown key: did you mean 'datasets'?" in done.stderr


def test_a_place_that_cannot_hold_results_is_named(collection: Path, tmp_path: Path) -> None:
    write_suite(tmp_path, collection)
    (tmp_path / "file").write_text("a file")
    done = bench("run", "tiny.yaml", "-q", "--out", "file", cwd=tmp_path)
    assert done.returncode == 2
    assert "--out" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_working_folder_that_is_gone_is_named(tmp_path: Path) -> None:
    code = (
        "import os, sys; os.mkdir('gone'); os.chdir('gone'); os.rmdir(os.getcwd()); "
        "sys.argv[1:] = ['run', 'quickstart']; from bench.cli.main import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stderr == (
        "rerank-bench: the working folder is gone: change into one that exists\n"
    )


def test_an_interrupt_says_how_to_go_on(collection: Path, tmp_path: Path) -> None:
    write_suite(
        tmp_path,
        collection,
        rerankers=[
            {
                "tests.support.fakes:HashReranker": {
                    "name": "slow",
                    "delay_ms": 500,
                    "log": str(tmp_path / "log"),
                }
            }
        ],
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, "-m", "bench", "run", "tiny.yaml", "-q"],
        cwd=tmp_path,
        env=env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        preexec_fn=heed_interrupts,
    )
    deadline = time.monotonic() + 60
    while not (tmp_path / "log").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert INTERRUPTED.encode() in errors
    assert b"Traceback" not in errors


def test_a_bad_line_in_a_dataset_is_named_and_nothing_is_left_behind(
    collection: Path, tmp_path: Path
) -> None:
    write_suite(tmp_path, collection)
    with (collection / "docs.jsonl").open("a") as file:
        file.write('{"doc_id": "d00", "text": "again"}\n')
    done = bench("run", "tiny.yaml", "-q", cwd=tmp_path)
    assert done.returncode == 2
    assert "docs.jsonl:13:" in done.stderr
    assert "Traceback" not in done.stderr


def test_validate_says_what_runs_and_what_is_skipped(collection: Path, tmp_path: Path) -> None:
    write_suite(tmp_path, collection)
    done = bench("validate", "tiny.yaml", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "skipped: no FAKE_API_KEY" in done.stdout
    assert "tiny.yaml: valid, 4 trials" in done.stdout


def test_validate_does_not_stop_at_a_reranker_that_cannot_run_here(
    collection: Path, tmp_path: Path
) -> None:
    write_suite(
        tmp_path, collection, rerankers=[{"tests.support.fakes:MissingReranker": {"name": "gone"}}]
    )
    done = bench("validate", "tiny.yaml", cwd=tmp_path)
    assert done.returncode == 1
    assert "failed: no FAKE_API_KEY" in done.stdout
    assert "tiny.yaml: 1 of 3 trials cannot run" in done.stdout


def test_report_and_show_run_need_only_the_folder(collection: Path, tmp_path: Path) -> None:
    write_suite(tmp_path, collection)
    bench("run", "tiny.yaml", "-q", cwd=tmp_path)
    folder = next((tmp_path / "results" / "tiny").iterdir())
    (tmp_path / "tiny.yaml").unlink()
    for path in collection.iterdir():
        path.unlink()
    assert "report.md" in bench("report", str(folder), cwd=tmp_path).stdout
    assert "oracle" in bench("show", "run", str(folder), cwd=tmp_path).stdout


def test_doctor_reports_that_a_key_is_set_and_never_the_key(tmp_path: Path) -> None:
    done = bench("doctor", cwd=tmp_path, CO_API_KEY="sk-very-secret", HF_HUB_OFFLINE="1")
    assert done.returncode == 0, done.stderr
    assert "CO_API_KEY                   set" in done.stdout
    assert "very-secret" not in done.stdout + done.stderr
    assert "HF_HUB_OFFLINE" in done.stdout
    assert "devices" in done.stdout


def test_list_and_show_name_what_a_suite_can(tmp_path: Path) -> None:
    assert "minilm-l6" in bench("list", "rerankers", cwd=tmp_path).stdout
    assert "embedded:everyday" in bench("list", "datasets", cwd=tmp_path).stdout
    assert "quickstart" in bench("list", "suites", cwd=tmp_path).stdout
    assert "nDCG" in bench("list", "measures", cwd=tmp_path).stdout
    details = yaml.safe_load(bench("show", "reranker", "minilm-l6", cwd=tmp_path).stdout)
    assert details["minilm-l6"]["options"]["model"] == "cross-encoder/ms-marco-MiniLM-L6-v2"
    assert "batch_size" in details["minilm-l6"]["options_decide"]["speed"]
    assert (
        yaml.safe_load(bench("show", "suite", "quickstart", cwd=tmp_path).stdout)["name"]
        == "quickstart"
    )
    assert "320" in bench("show", "dataset", "embedded:everyday", cwd=tmp_path).stdout


def test_the_schema_is_printed(tmp_path: Path) -> None:
    assert json.loads(bench("schema", cwd=tmp_path).stdout)["title"] == "rerank-bench suite"


def test_an_unknown_name_gets_a_hint_that_reads_well(tmp_path: Path) -> None:
    suite = bench("run", "quikstart", cwd=tmp_path).stderr
    assert "'quikstart' (did you mean 'quickstart'?): give the name of a shipped suite" in suite
    served = bench("serve", "zzzz", cwd=tmp_path).stderr
    assert served.strip().endswith(
        "unknown reranker 'zzzz': `rerank-bench list rerankers` lists the known ones"
    )
    close = bench("serve", "minilm-l7", cwd=tmp_path).stderr
    assert "did you mean 'minilm-l6'?" in close
    assert len(close) < 200


def test_a_schema_that_is_written_is_named(tmp_path: Path) -> None:
    written = bench("schema", "suite.schema.json", cwd=tmp_path)
    assert written.stdout == "suite.schema.json: the JSON Schema of suite files\n"
    assert json.loads((tmp_path / "suite.schema.json").read_text())["type"] == "object"
