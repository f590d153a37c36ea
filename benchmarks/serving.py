"""What HTTP adds to a query: the packaged cross-encoder in process and behind `rerank-bench serve`,
turn by turn, over one connection.

    python benchmarks/serving.py [--documents 50] [--rounds 15]

Prints the median of the paired ratios (served / in process), and what is left of a call when the
model does nothing: a word count, served.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

import bench
from bench import datasets

os.environ.setdefault("HF_HUB_OFFLINE", "1")


@contextmanager
def served(reranker: str) -> Iterator[Any]:
    """Serve a reranker in a process of its own and yield our client of it."""
    command = [sys.executable, "-P", "-m", "bench", "serve", reranker, "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            line = process.stdout.readline()
            address = re.search(r"http://\S+", line)
            if address is None:
                raise SystemExit(f"the server did not start: {line}")
            yield bench.reranker("rerank-server", model=reranker, base_url=address.group())
        finally:
            process.terminate()


def seconds(reranker: Any, query: str, docs: list[str]) -> float:
    start = time.perf_counter()
    reranker.score(query, docs)
    return time.perf_counter() - start


def summary(values: list[float]) -> str:
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
    return f"median {middle:.3f}  (quartiles {low:.3f} to {high:.3f})"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--documents", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    dataset = datasets.load("embedded:everyday", None, Path())
    queries = list(dataset.queries.values())
    docs = list(dataset.texts([doc_id for doc_id, _ in dataset.documents][: options.documents]))
    with served("minilm-cross-encoder") as theirs, served("word-overlap") as words:
        ours = bench.reranker("minilm-cross-encoder")
        for reranker in (ours, theirs, words):
            seconds(reranker, "warm-up", docs)
        ratios, nothing = [], []
        for number in range(options.rounds):
            query = queries[number % len(queries)]
            order = [(0, ours), (1, theirs)]
            if number % 2 == 0:
                order.reverse()
            times = {i: seconds(reranker, query, docs) for i, reranker in order}
            ratios.append(times[1] / times[0])
            nothing.append(1000 * seconds(words, query, docs))
    print(
        f"served / in process, {options.documents} documents, {options.rounds} rounds: "
        f"{summary(ratios)}"
    )
    print(f"a served word count, the same documents, ms: {summary(nothing)}")


if __name__ == "__main__":
    main()
