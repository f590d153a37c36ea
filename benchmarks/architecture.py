"""How true a latency before any download is: MiniLM-L6 with random weights next to the packaged
model of the same shape, turn by turn.

    python benchmarks/architecture.py [--depth 20] [--queries 20] [--rounds 2]

Prints the median of the paired ratios (random / trained) with its interval: 1 where only the
weights differ. Both read the same texts through the same tokenizer, in the same batches.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from bench import datasets, rerankers
from bench.contract.request import CandidateList
from bench.latency import timed_pass
from bench.latency.ratios import paired_ratio

os.environ.setdefault("HF_HUB_OFFLINE", "1")
TRAINED, RANDOM = "trained", "random"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--depth", type=int, default=20)
    parser.add_argument("--queries", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    dataset = datasets.load("embedded:everyday", None, Path())
    ids = [doc_id for doc_id, _ in dataset.documents]
    requests = []
    for i, (query_id, query) in enumerate(list(dataset.queries.items())[: options.queries]):
        chosen = [ids[(i * 7 + j) % len(ids)] for j in range(options.depth)]
        requests.append(CandidateList(query_id, query, chosen, dataset.texts(chosen)))
    built = {
        TRAINED: rerankers.build("minilm-cross-encoder"),
        RANDOM: rerankers.build("minilm-l6", {"weights": "random"}),
    }
    for reranker in built.values():
        reranker.check()
        reranker.load()
    plan = timed_pass.LatencyPlan(
        scenarios=("single",), queries=options.queries, rounds=options.rounds, span_queries=0
    )
    targets = [timed_pass.Target(name, "cpu", reranker) for name, reranker in built.items()]
    result = timed_pass.measure(targets, requests, plan)
    times: dict[str, dict[str, dict[int, float]]] = {TRAINED: {}, RANDOM: {}}
    tokens: dict[str, int] = dict.fromkeys(times, 0)
    for sample in result.samples:
        if not sample.warmup and sample.query is not None:
            times[sample.trial].setdefault(sample.query, {})[sample.round] = sample.nanoseconds
            tokens[sample.trial] += sample.tokens or 0
    ratio = paired_ratio(times[RANDOM], times[TRAINED])
    assert ratio is not None
    interval = f"95 % {ratio.low:.3f} to {ratio.high:.3f}, {ratio.queries} queries"
    print(f"random / trained, depth {options.depth}: {ratio.median:.3f}  ({interval})")
    print(f"tokens read: {tokens[RANDOM]} / {tokens[TRAINED]}")


if __name__ == "__main__":
    main()
