"""Peak memory and time of a whole run, report included, against the number of queries: a function
as reranker, which costs next to nothing, so that all of it is the harness's.

    python benchmarks/growth.py 5000 20000 50000
    python benchmarks/growth.py 5000 --depth 1000 --documents 1000000

Each size runs in a process of its own, and its report is made once more in another one; what an
import of the libraries takes is in every figure. Collections are the same in every run of this
script. A run needs some 120 bytes per candidate under the temporary folder.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from math import gcd
from pathlib import Path

import numpy as np

from bench.machine.fingerprint import peak_rss_bytes


def score(query: str, docs: list[str]) -> list[int]:
    """Length of a text: what a reranker costs here is nothing, so that all memory is the
    harness's.
    """
    return [len(doc) for doc in docs]


def write_collection(folder: Path, queries: int, depth: int, documents: int) -> None:
    """Write candidates that are spread over the collection, and one judged document per query."""
    rng = np.random.default_rng(7)
    names = [f"document-{place:07d}" for place in range(documents)]
    with (folder / "docs.jsonl").open("w") as file:
        for name, words in zip(names, rng.integers(5, 41, documents).tolist(), strict=True):
            file.write(json.dumps({"doc_id": name, "text": "word " * words}) + "\n")
    with (
        (folder / "queries.tsv").open("w") as topics,
        (folder / "qrels.txt").open("w") as qrels,
        (folder / "first.run").open("w") as run,
    ):
        for query in range(queries):
            topics.write(f"query-{query:07d}\tthe text of query {query}\n")
            ranking = [names[place] for place in drawn(rng, depth, documents)]
            judged = ranking[int(rng.integers(depth))]
            qrels.write(f"query-{query:07d} 0 {judged} 1\n")
            run.writelines(
                f"query-{query:07d} Q0 {name} {rank} {depth - rank} first\n"
                for rank, name in enumerate(ranking, 1)
            )


def drawn(rng: np.random.Generator, count: int, of: int) -> list[int]:
    """Return distinct numbers below `of`, an equal step from each to the next."""
    step = int(rng.integers(1, of))
    while gcd(step, of) > 1:
        step += 1
    places: list[int] = ((int(rng.integers(of)) + step * np.arange(count)) % of).tolist()
    return places


def run(folder: Path, depth: int) -> None:
    import bench

    suite = {
        "name": "growth",
        "datasets": [f"files:{folder}"],
        "first_stages": [{"run": str(folder / "first.run")}],
        "rerankers": ["benchmarks.growth:score"],
        "latency": None,
        "depth": depth,
        "devices": "cpu",
    }
    bench.run(suite, out=folder / "results")


def report(folder: Path) -> None:
    import bench
    from bench import reports

    (path,) = (folder / "results").glob("*/*")
    reports.write(bench.load(path))


def measured(folder: str, command: str, depth: int) -> dict[str, float]:
    """Return the peak MiB of a process, and its seconds: those that pass, and those of the
    processor.
    """
    arguments = [sys.executable, __file__, "--do", command, folder, "--depth", str(depth)]
    start = time.perf_counter()
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    used: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return {**used, "wall": time.perf_counter() - start}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("queries", type=int, nargs="*", default=[5_000, 20_000, 50_000])
    parser.add_argument("--depth", type=int, default=100)
    parser.add_argument("--documents", type=int, default=20_000)
    parser.add_argument("--do", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.do:
        command, folder = options.do
        if command == "run":
            run(Path(folder), options.depth)
        else:
            report(Path(folder))
        memory = (peak_rss_bytes() or 0) / 2**20
        print(json.dumps({"memory": memory, "processor": time.process_time()}))
        return
    for queries in options.queries:
        with tempfile.TemporaryDirectory() as folder:
            write_collection(Path(folder), queries, options.depth, options.documents)
            figures = measured(folder, "run", options.depth)
            again = measured(folder, "report", options.depth)
            (page,) = Path(folder).glob("results/*/*/report.html")
            size = page.stat().st_size / 2**20
        print(
            f"{queries:>7} queries x {options.depth}: {figures['memory']:5.0f} MiB, "
            f"{figures['processor']:6.0f} processor seconds ({figures['wall']:.0f} s); its report "
            f"{again['processor']:.1f} processor seconds ({again['wall']:.1f} s), "
            f"{again['memory']:.0f} MiB, {size:.1f} MiB of HTML",
            flush=True,
        )


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent.parent))
    main()
