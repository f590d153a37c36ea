"""Time to compose pipelines from the stored scores of a run, next to real runs of a few of them.

    python benchmarks/compose.py [--queries 300] [--pipelines 500]

Makes a collection and a run with five rows of random scores over 100 candidates, then composes the
first pipelines of the grid. Prints seconds, those of the processor next to them (others may be at
work on the machine), and whether five pipelines have the values of real runs.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import bench
from bench.composition.entries import entry_of
from bench.composition.grid import grid
from bench.composition.stored import stored
from bench.contract.part import Part
from bench.records.run import Run

DEPTH = 100
ROWS = ("north", "south", "east", "west", "centre")
CHECKED = 5
LADDER = (10, 20, 30, 40, 50, 60, 80)


class Random:
    """Scores a pair by a hash of its texts and a name."""

    def __init__(self, salt: str = "") -> None:
        self.salt = salt

    def score(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        return [self._score(query, document) for query, document in pairs]

    def _score(self, query: str, document: str) -> float:
        digest = hashlib.sha256(f"{self.salt}\0{query}\0{document}".encode()).digest()
        return int.from_bytes(digest[:6], "big") / 2**48


def write_collection(folder: Path, queries: int) -> None:
    """Write a collection of 2,000 documents in a vocabulary of 200 words."""
    rng = random.Random(7)
    words = [f"word{number}" for number in range(200)]
    documents = [" ".join(rng.choices(words, k=30)) for _ in range(2000)]
    lines = [f'{{"id": "d{i}", "text": "{text}"}}' for i, text in enumerate(documents)]
    (folder / "docs.jsonl").write_text("\n".join(lines))
    rows = [f"q{i}\t{' '.join(rng.choices(words, k=5))}" for i in range(queries)]
    (folder / "queries.tsv").write_text("\n".join(rows))
    judged: list[str] = []
    for i in range(queries):
        judged += [f"q{i} 0 d{doc} {rng.randint(1, 3)}" for doc in rng.sample(range(2000), 20)]
    (folder / "qrels.txt").write_text("\n".join(judged))


def suite(folder: Path, pipelines: Sequence[Any] = ()) -> dict[str, Any]:
    """Return a suite over the collection."""
    rerankers = [{"benchmarks.compose:Random": {"name": name, "salt": name}} for name in ROWS]
    return {
        "name": "compose",
        "datasets": [f"files:{folder}"],
        "rerankers": rerankers,
        "pipelines": list(pipelines),
        "measures": ["nDCG@10", "RR@10", "R@100"],
        "depth": DEPTH,
        "devices": "cpu",
        "latency": None,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--queries", type=int, default=300)
    parser.add_argument("--pipelines", type=int, default=500)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_collection(folder, arguments.queries)
        run = bench.run(suite(folder), out=folder / "results")
        start = time.perf_counter()
        (dataset,) = stored(run)
        dataset.verify()
        read = time.perf_counter() - start
        chains = grid(dataset, LADDER)[: arguments.pipelines]
        start, processor = time.perf_counter(), time.process_time()
        values = [dataset.measuring.values(chain) for chain in chains]
        seconds, busy = time.perf_counter() - start, time.process_time() - processor
        print(f"{arguments.queries} queries, {DEPTH} candidates, {len(ROWS)} rows")
        print(f"read and verified in {read:.2f} s")
        each = 1e3 * busy / len(chains)
        print(f"{len(chains)} pipelines in {seconds:.2f} s")
        print(f"processor time {busy:.2f} s, {each:.2f} ms each")
        print(f"equal to real runs: {_equal(run, folder, chains, values)} of {CHECKED}")


def _equal(run: Run, folder: Path, chains: Sequence[Any], values: Sequence[Any]) -> int:
    """Return how many of some pipelines have the same values in a real run."""
    parts = {"bm25": Part(name="bm25", options=None)}
    for entry in run.info.resolved["rerankers"]:
        part = Part.model_validate(entry)
        parts[part.options["name"]] = part
    places = [len(chains) * number // CHECKED + 1 for number in range(CHECKED)]
    entries = [entry_of(chains[place], f"p{place}", parts).to_entry() for place in places]
    real = bench.run(suite(folder, entries), out=folder / "results")
    equal = 0
    for row in real.rows:
        if row.trial.reranker.startswith("p") and row.stages:
            own = values[int(row.trial.reranker[1:])]["nDCG@10"]
            recorded = real.values(row.trial.id, "nDCG@10")
            equal += own.tolist() == list(recorded.values())
    return equal


if __name__ == "__main__":
    main()
