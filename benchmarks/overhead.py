"""What the harness costs: its quality pass over the reranker's bare scores for the same requests.

    python benchmarks/overhead.py [--queries 16] [--rounds 7]

Both sides use the packaged MiniLM cross-encoder and the embedded collection's BM25 candidates. The
harness's side is everything between requests and rankings: hashing, chunking, checks, the score
cache on disk, the tie rule. What the scores themselves cost, beside a plain CrossEncoder.predict,
is asked by throughput.py. The two alternate (A B, B A, ...); the figure is the median of the paired
ratios, with quartiles.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from bench import datasets, rerankers, retrieval
from bench.contract.request import CandidateList
from bench.ranking.order import rank
from bench.scoring.engine import score


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--queries", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["RERANK_BENCH_CACHE"] = f"{folder}/cache"
        requests = make_requests(arguments.queries)
        bare, harness = both_sides(requests)
        ratios = paired_ratios(bare, harness, arguments.rounds)
    low, middle, high = np.quantile(ratios, [0.25, 0.5, 0.75])
    pairs = sum(len(request.docs) for request in requests)
    print(
        f"harness / bare scores, {pairs} pairs, {arguments.rounds} paired rounds: median "
        f"{middle:.4f} (quartiles {low:.4f} to {high:.4f})"
    )


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


def both_sides(requests: list[CandidateList]) -> tuple[Callable[[], object], Callable[[], object]]:
    """Return calls of the same reranker, bare and behind the harness. Both give the same scores,
    which is checked here.
    """
    reranker: Any = rerankers.build("minilm-cross-encoder")
    reranker.load()

    def bare() -> Any:
        return reranker.rerank(requests)

    def harness() -> list[object]:
        scored = score(reranker, requests, chunk_pairs=1024, fresh=True)
        return [
            rank(request.doc_ids, scored.scores[request.query_id].tolist()) for request in requests
        ]

    ours = np.concatenate(
        list(score(reranker, requests, chunk_pairs=1024, fresh=True).scores.values())
    )
    print(
        "largest score difference between the two: "
        f"{np.abs(ours - np.concatenate(bare())).max():.1e}"
    )
    return bare, harness


def paired_ratios(
    bare: Callable[[], object], harness: Callable[[], object], rounds: int
) -> list[float]:
    ratios = []
    for i in range(rounds):
        seconds = {}
        order = [bare, harness]
        if i % 2:
            order.reverse()
        for side in order:
            start = time.perf_counter()
            side()
            seconds[side] = time.perf_counter() - start
        ratios.append(seconds[harness] / seconds[bare])
    return ratios


if __name__ == "__main__":
    main()
