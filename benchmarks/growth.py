"""Peak memory of a whole run, report included, against the number of queries: a function as
reranker, 100 candidates a query.

    python benchmarks/growth.py 2000 10000 50000

Each size runs in a process of its own; what an import of the libraries takes is in every figure.
"""

from __future__ import annotations

import json
import random
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

DEPTH = 100
DOCUMENTS = 20_000
MIB = {"darwin": 2**20}.get(sys.platform, 2**10)
"""A MiB in the units of `ru_maxrss`: bytes on macOS, KiB elsewhere."""


def score(query: str, docs: list[str]) -> list[int]:
    """Length of a text: what a reranker costs here is nothing, so that all memory is the
    harness's.
    """
    return [len(doc) for doc in docs]


def write_collection(folder: Path, queries: int) -> None:
    """Write random candidates, and one judged document per query."""
    draw = random.Random(7)
    names = [f"document-{i:07d}" for i in range(DOCUMENTS)]
    with (folder / "docs.jsonl").open("w") as file:
        for name in names:
            file.write(json.dumps({"doc_id": name, "text": "word " * draw.randint(5, 40)}) + "\n")
    with (
        (folder / "queries.tsv").open("w") as topics,
        (folder / "qrels.txt").open("w") as qrels,
        (folder / "first.run").open("w") as run,
    ):
        for i in range(queries):
            topics.write(f"query-{i:07d}\tthe text of query {i}\n")
            ranking = draw.sample(names, DEPTH)
            qrels.write(f"query-{i:07d} 0 {draw.choice(ranking)} 1\n")
            run.writelines(
                f"query-{i:07d} Q0 {name} {rank} {DEPTH - rank} first\n"
                for rank, name in enumerate(ranking, 1)
            )


def run(folder: Path) -> None:
    import bench

    suite = {
        "name": "growth",
        "datasets": [f"files:{folder}"],
        "first_stages": [{"run": str(folder / "first.run")}],
        "rerankers": ["benchmarks.growth:score"],
        "latency": None,
        "depth": DEPTH,
        "devices": "cpu",
    }
    bench.run(suite, out=folder / "results")


def main(sizes: list[int]) -> None:
    for queries in sizes:
        with tempfile.TemporaryDirectory() as folder:
            write_collection(Path(folder), queries)
            done = subprocess.run([sys.executable, __file__, "--run", folder], check=False)
            if done.returncode:
                sys.exit(done.returncode)
            peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / MIB
            print(f"{queries:>7} queries x {DEPTH}: {peak:7.0f} MiB", flush=True)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent.parent))
    if sys.argv[1:2] == ["--run"]:
        run(Path(sys.argv[2]))
    else:
        main([int(size) for size in sys.argv[1:]] or [2_000, 10_000, 50_000])
