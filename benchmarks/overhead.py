"""What the harness costs: its quality pass over the reranker's bare scores for the same requests.

    python benchmarks/overhead.py [--queries 10] [--rounds 40] [--threads 2]

Both sides use the packaged MiniLM cross-encoder and the embedded collection's BM25 candidates. The
harness's side is everything between requests and rankings: hashing, chunking, checks, the score
cache on disk, the tie rule. What the scores themselves cost, next to a plain CrossEncoder.predict,
is asked by throughput.py.

A round is one chunk on either side, some seconds, and the sides alternate (A B, B A, ...). Printed
are medians of the rounds' ratios with their 95 % intervals: of the seconds that pass, of the
processor's seconds, and of one pass to the reranker's call within it. The last two need no quiet
machine, since a neighbour takes no processor time of ours and slows both parts of a pass.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench import datasets, rerankers, retrieval
from bench.contract.request import CandidateList
from bench.latency.ratios import Times, paired_ratio
from bench.machine.fingerprint import usable_cores
from bench.ranking.order import rank
from bench.scoring.engine import score

CHUNK_PAIRS = 1024
"""A suite's default."""


@dataclass
class Cost:
    """Seconds of one call: that passed, and of the processor. `inner` are those that passed in the
    reranker.
    """

    seconds: float
    processor: float
    inner: float


class Stopwatch:
    """A function whose seconds are added up."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self.seconds = 0.0

    def __call__(self, *arguments: Any) -> Any:
        start = time.perf_counter()
        result = self._function(*arguments)
        self.seconds += time.perf_counter() - start
        return result


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--queries", type=int, default=10, help="of 100 candidates each")
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--threads", type=int, default=usable_cores())
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["RERANK_BENCH_CACHE"] = f"{folder}/cache"
        requests = make_requests(arguments.queries)
        reranker: Any = rerankers.build("minilm-cross-encoder")
        reranker.load()
        reranker.rerank = watch = Stopwatch(reranker.rerank)
        bare, harness = measured(reranker, watch, requests, arguments.rounds)
    pairs = sum(len(request.docs) for request in requests)
    print(f"harness / bare scores, {pairs} pairs, {arguments.rounds} paired rounds")
    print_ratio("seconds that pass", [c.seconds for c in harness], [c.seconds for c in bare])
    print_ratio("of the processor", [c.processor for c in harness], [c.processor for c in bare])
    print_ratio("within one pass", [c.seconds for c in harness], [c.inner for c in harness])


def make_requests(queries: int) -> list[CandidateList]:
    dataset = datasets.load("embedded:everyday", None, Path.cwd())
    ids = list(dataset.queries)[:queries]
    candidates = retrieval.build("bm25", None, Path.cwd()).retrieve(dataset, ids, 100)
    requests = []
    for query_id in ids:
        docs = candidates.by_query[query_id].doc_ids
        query = dataset.queries[query_id]
        requests.append(CandidateList(query_id, query, docs, dataset.texts(docs)))
    return requests


def measured(
    reranker: Any, watch: Stopwatch, requests: Sequence[CandidateList], rounds: int
) -> tuple[list[Cost], list[Cost]]:
    """Return the costs of the bare scores and of the harness, round by round. Both give the same
    scores, which is checked in a round that does not count.
    """

    def bare() -> list[Any]:
        return list(reranker.rerank(requests))

    def harness() -> list[Any]:
        scored = score(reranker, requests, chunk_pairs=CHUNK_PAIRS, fresh=True)
        scores = [scored.scores[request.query_id] for request in requests]
        for request, of_query in zip(requests, scores, strict=True):
            rank(request.doc_ids, of_query)
        return scores

    difference = np.abs(np.concatenate(harness()) - np.concatenate(bare())).max()
    print(f"largest score difference between the two: {difference:.1e}")
    sides = (bare, harness)
    costs: tuple[list[Cost], list[Cost]] = ([], [])
    for i in range(rounds):
        for side in (0, 1) if i % 2 else (1, 0):
            watch.seconds = 0.0
            start, processor = time.perf_counter(), time.process_time()
            sides[side]()
            seconds, processor = time.perf_counter() - start, time.process_time() - processor
            costs[side].append(Cost(seconds, processor, watch.seconds))
    return costs


def print_ratio(name: str, new: Sequence[float], old: Sequence[float]) -> None:
    ratio = paired_ratio(by_round(new), by_round(old))
    assert ratio is not None
    print(f"{name:20}{ratio.median:.4f} (95 % {ratio.low:.4f} to {ratio.high:.4f})")


def by_round(values: Sequence[float]) -> Times:
    return {str(i): {0: value} for i, value in enumerate(values)}


if __name__ == "__main__":
    main()
