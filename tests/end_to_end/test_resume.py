"""A run killed at 20 random moments: it resumes to the same bits as an undisturbed one, and loses
at most a chunk each time.
"""

from __future__ import annotations

import json
import os
import random
import signal
import time
from pathlib import Path

import pytest

from bench.records.run import Run
from scripts.kill_test import contents
from tests.support.forked import Forked

KILLS = 20
CHUNK = 20
DOCS = 15
QUERIES = 40


def write_collection(folder: Path) -> None:
    """Every query matches every document, so that the number of pairs is known."""
    folder.mkdir()
    docs = [
        {"doc_id": f"d{i}", "text": f"common word number{i} {'filler ' * (i % 7)}"}
        for i in range(DOCS)
    ]
    (folder / "docs.jsonl").write_text("".join(json.dumps(doc) + "\n" for doc in docs))
    (folder / "queries.tsv").write_text(
        "".join(f"q{i}\tcommon number{i % DOCS} variant{i}\n" for i in range(QUERIES))
    )
    (folder / "qrels.txt").write_text("".join(f"q{i} 0 d{i % DOCS} 1\n" for i in range(QUERIES)))


def start(folder: Path, cache: Path, out: str, log: Path) -> Forked:
    suite = {
        "name": "killed",
        "datasets": ["files:data"],
        "rerankers": [
            {"tests.support.fakes:HashReranker": {"name": "slow", "delay_ms": 2, "log": str(log)}}
        ],
        "latency": None,
        "chunk_pairs": CHUNK,
        "devices": "cpu",
    }
    (folder / "suite.yaml").write_text(json.dumps(suite))
    arguments = ["run", "suite.yaml", "--out", out, "--quiet"]
    environment = {"RERANK_BENCH_CACHE": str(cache)}
    return Forked(arguments, folder, environment, folder / "stderr.txt")


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is a POSIX signal")
def test_a_run_killed_at_20_random_moments_resumes_to_the_same_bits(tmp_path: Path) -> None:
    write_collection(tmp_path / "data")
    assert Forked(["--version"], tmp_path, {}, tmp_path / "stderr.txt").wait(120) == 0
    begun = time.monotonic()
    undisturbed = start(tmp_path, tmp_path / "cache-a", "out-a", tmp_path / "log-a")
    assert undisturbed.wait(120) == 0, (tmp_path / "stderr.txt").read_text()
    seconds = time.monotonic() - begun
    log, rng = tmp_path / "log-b", random.Random(20)
    in_the_midst = 0
    for _ in range(KILLS):
        before = log.stat().st_size if log.exists() else 0
        process = start(tmp_path, tmp_path / "cache-b", "out-b", log)
        # Half the kills fall anywhere from the start on; half wait for scoring to begin, so that
        # they fall among chunks being written.
        if rng.random() < 0.5:
            wait_for(
                lambda size=before, process=process: (
                    (log.exists() and log.stat().st_size > size) or process.poll() is not None
                )
            )
            time.sleep(rng.uniform(0, seconds / 20))
        else:
            time.sleep(rng.uniform(0, seconds / 6))
        process.kill()
        in_the_midst += (
            process.wait() == -signal.SIGKILL and log.exists() and log.stat().st_size > before
        )
    last = start(tmp_path, tmp_path / "cache-b", "out-b", log)
    assert last.wait(120) == 0, (tmp_path / "stderr.txt").read_text()

    assert in_the_midst >= 5, "too few kills fell into scoring for this test to say anything"
    pairs = QUERIES * DOCS
    assert pairs <= log.stat().st_size <= pairs + in_the_midst * CHUNK
    folders = list((tmp_path / "out-b" / "killed").iterdir())
    assert not [path for path in (tmp_path / "cache-b").rglob("*.npz") if not path.stat().st_size]
    runs = [Run(folder) for folder in folders]
    assert all(run.info.status == "done" for run in runs), (
        "an interrupted run is continued, not left behind"
    )
    [expected] = (tmp_path / "out-a" / "killed").iterdir()
    for folder in folders:
        assert contents(folder) == contents(expected)


def wait_for(condition: object, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:  # type: ignore[operator]
        time.sleep(0.005)
