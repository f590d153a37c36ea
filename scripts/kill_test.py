"""Kill a run at random moments, many times, and look at what it left: nothing lost, nothing stale,
no lock that holds.

    python scripts/kill_test.py            100 kills, some minutes
    python scripts/kill_test.py --kills 10 --seed 3

The run has a reranker of one's own and a hosted one, whose server runs in this process and counts
what it answers. After ten kills the run is let finish; its records must equal those of a run that
nobody disturbed, and the next ones begin with an empty cache.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Protocol

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS, QUERIES = 10, 60
EPISODE = 10
"""Kills of one run, until it is let finish."""
OWN = """
import hashlib, time
from bench.rerankers.base import Description, PointwiseReranker
import numpy as np

class Hashing(PointwiseReranker):
    def fingerprint(self):
        return {"backend": "hashing"}
    def describe(self):
        return Description("hashing", self.fingerprint())
    def score(self, pairs):
        time.sleep(0.001 * len(pairs))
        digests = [hashlib.sha256("\\0".join(pair).encode()).digest() for pair in pairs]
        return np.array([int.from_bytes(digest[:6], "big") / 2**48 for digest in digests])
"""


class Server(ThreadingHTTPServer):
    """A hosted reranker that scores a document by its length, and counts the answers per query."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: Counter[str] = Counter()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that was killed is no error here."""


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self._reply(404, {"detail": "no such page"})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        time.sleep(0.01)
        results = [
            {"index": i, "relevance_score": 1 / (1 + len(text))}
            for i, text in enumerate(body["documents"])
        ]
        self._reply(200, {"results": results})
        self.server.answers[body["query"]] += 1

    def _reply(self, status: int, body: Any) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing on the terminal."""


def write_case(folder: Path, port: int) -> None:
    """Two collections, a suite over both, and the reranker of one's own."""
    for name in ("one", "two"):
        (folder / name).mkdir()
        docs = [
            {"doc_id": f"d{i}", "text": f"common word number{i} {'filler ' * (i % 7)}{name}"}
            for i in range(DOCUMENTS)
        ]
        (folder / name / "docs.jsonl").write_text("".join(json.dumps(doc) + "\n" for doc in docs))
        (folder / name / "queries.tsv").write_text(
            "".join(f"q{i}\tcommon number{i % DOCUMENTS} {name} {i}\n" for i in range(QUERIES))
        )
        (folder / name / "qrels.txt").write_text(
            "".join(f"q{i} 0 d{i % DOCUMENTS} 1\n" for i in range(QUERIES))
        )
    (folder / "own_for_kills.py").write_text(OWN)
    hosted = {
        "name": "hosted",
        "model": "m",
        "base_url": f"http://127.0.0.1:{port}/v1",
        "backoff_s": 0.1,
    }
    suite = {
        "name": "killed",
        "datasets": ["files:one", "files:two"],
        "rerankers": [{"own_for_kills:Hashing": {"name": "own"}}, {"rerank-server": hosted}],
        "latency": None,
        "chunk_pairs": 100,
        "devices": "cpu",
    }
    (folder / "suite.yaml").write_text(json.dumps(suite))


class Process(Protocol):
    """A run at work."""

    def poll(self) -> int | None: ...

    def wait(self, timeout: float | None = None) -> int: ...

    def kill(self) -> None: ...


class Start(Protocol):
    """Starts the command with these arguments in a folder, its messages in a file."""

    def __call__(
        self, arguments: Sequence[str], folder: Path, environment: Mapping[str, str], errors: Path
    ) -> Process: ...


def start_anew(
    arguments: Sequence[str], folder: Path, environment: Mapping[str, str], errors: Path
) -> Process:
    """Start the command as a user does: by a new interpreter."""
    command = [sys.executable, "-m", "bench", *arguments]
    values = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    with errors.open("wb") as file:
        return subprocess.Popen(
            command, cwd=folder, env=values, stdout=subprocess.DEVNULL, stderr=file
        )


def contents(run_folder: Path) -> dict[str, Any]:
    """Return the results of a run, without what a clock or a name decides."""
    from bench.records.run import Run

    run = Run(run_folder)
    records = {
        name: (record.quality, record.vs_first_stage, record.counts, record.keys)
        for name, record in run.records.items()
    }
    rankings = {
        path.name: gzip.decompress(path.read_bytes())
        for path in (run.folder / "rankings").glob("*.run.gz")
    }
    tables = {}
    for name in ("per_query", "depths", "usage"):
        table = getattr(run, name)
        rows = table.sort_values(list(table.columns)).astype(object)
        # An empty cell is read as NaN, which equals nothing, itself included.
        tables[name] = rows.where(rows.notna(), None).values.tolist()
    return {"status": run.info.status, "records": records, "rankings": rankings, **tables}


def held_locks(out: Path) -> list[str]:
    """Return the run folders whose lock still holds although no process is at work."""
    from filelock import FileLock, Timeout

    names = []
    for path in out.glob("*/*/.lock"):
        try:
            with FileLock(path, timeout=0):
                pass
        except Timeout:
            names.append(path.parent.name)
    return names


def kill_often(
    kills: int, seed: int, folder: Path, start_process: Start = start_anew
) -> Counter[str]:
    """Return the counts of lost or stale records, of held locks, and of how often the service was
    asked again.
    """
    server, draw = Server(), random.Random(seed)

    def start(folder: Path, name: str) -> Process:
        """Start the run that `name` has its results and cache by."""
        environment = {"RERANK_BENCH_CACHE": str(folder / f"cache-{name}"), "MPLBACKEND": "Agg"}
        arguments = ["run", "suite.yaml", "--out", f"out-{name}", "--quiet"]
        return start_process(arguments, folder, environment, folder / f"stderr-{name}.txt")

    write_case(folder, server.server_port)
    begun = time.monotonic()
    undisturbed = start(folder, "calm")
    if undisturbed.wait(300):
        raise SystemExit((folder / "stderr-calm.txt").read_text())
    seconds = time.monotonic() - begun
    expected = [contents(path.parent) for path in (folder / "out-calm").glob("*/*/run.json")]
    findings: Counter[str] = Counter()
    while findings["kills"] < kills:
        findings["episodes"] += 1
        name = f"killed-{findings['episodes']}"
        server.answers.clear()
        for _ in range(min(EPISODE, kills - findings["kills"])):
            process = start(folder, name)
            _wait(process, server, draw, seconds)
            # Where it had finished, nothing was killed.
            if process.poll() is not None:
                break
            process.kill()
            process.wait()
            findings["kills"] += 1
            findings["held locks"] += len(held_locks(folder / f"out-{name}"))
        findings["failed runs"] += start(folder, name).wait(300) != 0
        runs = [contents(path.parent) for path in (folder / f"out-{name}").glob("*/*/run.json")]
        findings["runs"] += len(runs)
        findings["unfinished runs"] += sum(run["status"] != "done" for run in runs)
        findings["stale or lost"] += sum(run != expected[0] for run in runs)
        findings["queries never answered"] += 2 * QUERIES - len(server.answers)
        findings["answers"] += sum(server.answers.values())
        findings["answers paid twice"] += sum(server.answers.values()) - len(server.answers)
        print(json.dumps(findings), file=sys.stderr, flush=True)
    server.shutdown()
    server.server_close()
    return findings


def _wait(process: Process, server: Server, draw: random.Random, seconds: float) -> None:
    """Half of the kills come anywhere from the start on; half come some answers of the service
    later, among what is being written.
    """
    if draw.random() < 0.5:
        time.sleep(draw.uniform(0, seconds))
        return
    goal = sum(server.answers.values()) + draw.randint(1, 40)
    end = time.monotonic() + seconds
    while sum(server.answers.values()) < goal and process.poll() is None and time.monotonic() < end:
        time.sleep(0.001)
    time.sleep(draw.uniform(0, 0.05))


def is_sound(findings: Counter[str]) -> bool:
    """Whether nothing was lost, nothing is stale and no lock holds."""
    names = (
        "failed runs",
        "unfinished runs",
        "stale or lost",
        "held locks",
        "queries never answered",
    )
    return all(findings[name] == 0 for name in names)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=20)
    options = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    with tempfile.TemporaryDirectory() as folder:
        findings = kill_often(options.kills, options.seed, Path(folder))
    print(json.dumps(findings, indent=1))
    sys.exit(not is_sound(findings))


if __name__ == "__main__":
    main()
