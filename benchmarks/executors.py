"""What executors cost, and what they gain: chunks of a reranker that sleeps, in this process, in
worker processes and in actors of Ray.

    python benchmarks/executors.py [--rounds 5] [--chunks 24] [--seconds 0.25]
    python benchmarks/executors.py --actors 32 [--chunks 640] [--seconds 1]

A chunk holds 1,000 pairs of 1,000 characters and takes a fixed time, so that all beyond it is the
executor's: what it writes, sends, hands out and reads, on however busy a machine. Executors
alternate (A B C, C B A, ...); figures are chunks per second between the first answer of each place
and the last one, as a multiple of this process's, the median of the rounds with quartiles. How long
it takes to start Ray and its actors is printed apart.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from bench import rerankers
from bench.contract.recipe import Recipe
from bench.contract.request import CandidateList
from bench.core.plugins import look_in
from bench.scoring import executors
from bench.scoring.engine import score
from bench.scoring.executors.base import Executor

HERE = Path(__file__).parent
NAME = "sleeping_reranker:Sleeping"
DOCUMENTS = 1000
TEXT = "some words of a document " * 40


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--chunks", type=int, default=24)
    parser.add_argument("--seconds", type=float, default=0.25)
    parser.add_argument("--actors", type=int, help="this many, next to this process alone")
    arguments = parser.parse_args()
    look_in(HERE)
    sides: dict[str, tuple[Executor, int]] = {}
    if arguments.actors:
        sides |= {f"ray, {arguments.actors}": side("ray", arguments.actors)}
    else:
        for workers in (1, 2):
            for name in ("processes", "ray"):
                sides[f"{name}, {workers}"] = side(name, workers)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["RERANK_BENCH_CACHE"] = f"{folder}/cache"
        alternate(sides, arguments)
    for executor, _ in sides.values():
        executor.close()


def side(name: str, workers: int) -> tuple[Executor, int]:
    options: dict[str, Any] = {"workers": workers, "threads": 1}
    return executors.build(name, options), workers


def alternate(sides: dict[str, tuple[Executor, int]], arguments: argparse.Namespace) -> None:
    """Print the rates of all sides, in rounds of alternating order."""
    ratios: dict[str, list[float]] = defaultdict(list)
    starts: dict[str, list[float]] = defaultdict(list)
    for number in range(arguments.rounds):
        rates: dict[str, float] = {}
        order = ["here", *sides]
        for name in order if number % 2 == 0 else reversed(order):
            executor, places = sides.get(name, (executors.build("here"), 1))
            chunks = arguments.chunks
            if name == "here" and arguments.actors:
                # alone it would take as many times longer
                chunks = max(8, chunks // arguments.actors)
            rates[name], start = measured(executor, places, chunks, arguments.seconds)
            starts[name].append(start)
        for name in sides:
            ratios[name].append(rates[name] / rates["here"])
    for name, values in ratios.items():
        low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
        print(
            f"{name:<16} {middle:7.3f} times here (quartiles {low:.3f} to {high:.3f}), "
            f"{arguments.rounds} rounds; first answer after {np.median(starts[name]):.1f} s"
        )


def measured(executor: Executor, places: int, chunks: int, seconds: float) -> tuple[float, float]:
    """Return chunks per second after each place has answered once, and the seconds until then."""
    with tempfile.TemporaryDirectory() as folder:
        options = {"seconds": seconds, "folder": folder, "processes": places}
        answers: list[float] = []

        def note_time(pairs: int) -> None:
            if pairs:
                answers.append(time.perf_counter())

        begin = time.perf_counter()
        score(
            rerankers.build(NAME, options),
            requests(chunks + places),
            chunk_pairs=DOCUMENTS,
            fresh=True,
            on_progress=note_time,
            executor=executor,
            recipe=Recipe(NAME, options, str(HERE)),
        )
    return chunks / (answers[-1] - answers[places - 1]), answers[places - 1] - begin


def requests(count: int) -> list[CandidateList]:
    lists: list[CandidateList] = []
    for number in range(count):
        doc_ids = [f"d{place}" for place in range(DOCUMENTS)]
        docs = [f"{place} {TEXT}" for place in range(DOCUMENTS)]
        lists.append(CandidateList(f"q{number}", f"query {number}", doc_ids, docs))
    return lists


if __name__ == "__main__":
    main()
