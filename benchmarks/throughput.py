"""How fast each way to a cross-encoder's scores is, as a multiple of a plain CrossEncoder.predict,
and what it does to the scores.

    python benchmarks/throughput.py [--rounds 8] [--depth 100] [--queries-per-call 1] [--threads 2]
    [--only torch onnx]

One model (the packaged MiniLM-L6 with the adapter that ships, unless --model names another), the
embedded collection's BM25 candidates, cut and joined so that their lengths spread as MS MARCO's
passages do: what padding costs is a matter of lengths, and the embedded texts are all about as
long. --dataset takes another collection, and its texts as they are.

Every round takes other queries; in each, every way runs once, in the order A B C, then C B A in the
next. The figures are medians of the paired ratios with their quartiles, against predict at its
default batch of 32 and at its best one, which is chosen on queries that are not reported; with
several queries a call also against predict in a loop over the queries, as most scripts have it.
Agreement is with predict's float32 scores: largest difference, mean Kendall tau over the queries.
What is not installed is left out, with the reason.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sentence_transformers import CrossEncoder

from bench import datasets, rerankers, retrieval
from bench.contract.request import Request
from bench.core.errors import Unavailable
from bench.core.note import read_notes
from bench.core.wording import sentences
from bench.quality.statistics import kendall_tau

WAYS: dict[str, dict[str, Any]] = {
    "torch fp32, token budget": {},
    "torch fp32, batch 32 by tokens": {"batch_size": 32},
    "torch bf16": {"dtype": "bfloat16"},
    "onnx fp32": {"runtime": "onnx"},
    "onnx int8": {"runtime": "onnx", "dtype": "int8"},
    "openvino fp32": {"runtime": "openvino"},
    "openvino bf16": {"runtime": "openvino", "dtype": "bfloat16"},
    "openvino int8": {"runtime": "openvino", "dtype": "int8"},
}
PLAIN, BEST, LOOP = "predict, batch 32", "predict, its best batch", "predict, a query a call"
BASES = {PLAIN: "against predict at 32", BEST: "at its best batch", LOOP: "at 32, query by query"}
TUNED = (8, 16, 64)
Way = Callable[[Sequence[Request]], np.ndarray]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--depth", type=int, default=100, help="candidates per query")
    parser.add_argument(
        "--dataset", help="files:FOLDER or irds:ID; its texts are taken as they are"
    )
    parser.add_argument(
        "--queries-per-call",
        type=int,
        default=1,
        help="1: one query in flight; more: the quality pass",
    )
    parser.add_argument(
        "--threads",
        type=int,
        default=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
    )
    parser.add_argument(
        "--cpu-time",
        action="store_true",
        help="processor time, for a busy machine; only with --threads 1 is it a speed",
    )
    parser.add_argument(
        "--model",
        default="minilm-cross-encoder",
        help="a catalogue name, or the folder of a cross-encoder",
    )
    parser.add_argument(
        "--token-budgets",
        type=int,
        nargs="*",
        default=[],
        help="further budgets for torch in float32",
    )
    parser.add_argument(
        "--only", nargs="*", default=[], help="words; ways that hold none of them are left out"
    )
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads or torch.get_num_threads())
    with tempfile.TemporaryDirectory() as folder:
        os.environ["RERANK_BENCH_CACHE"] = f"{folder}/cache"
        calls = make_calls(arguments)
        ways = make_ways(saved(arguments.model, Path(folder) / "model"), arguments, calls[:2])
        report(ways, calls[2:], arguments)


def make_calls(arguments: argparse.Namespace) -> list[list[Request]]:
    """A list of requests for each round, and two more for tuning; each with other queries as long
    as there are any.
    """
    dataset = datasets.load(arguments.dataset or "embedded:everyday", None, Path.cwd())
    number, size = arguments.rounds + 2, arguments.queries_per_call
    wanted = list(dataset.queries)[: number * size]
    candidates = (
        retrieval.build("bm25", None, Path.cwd())
        .retrieve(dataset, wanted, arguments.depth)
        .by_query
    )
    requests = [
        Request(query, dataset.queries[query], one.doc_ids, dataset.texts(one.doc_ids))
        for query, one in candidates.items()
    ]
    if not arguments.dataset:
        requests = [replace(one, docs=spread(one.docs, i)) for i, one in enumerate(requests)]
    return [[requests[(i * size + j) % len(requests)] for j in range(size)] for i in range(number)]


def spread(docs: Sequence[str], seed: int) -> list[str]:
    """The same words in texts of other lengths: log-normal, a median of 52 words, one in twenty
    above 118.

    Of predict's batches of 32, 26 % are padding with them, and 29 % with BM25's candidates of TREC
    DL 2019 (8 queries each).
    """
    words = " ".join(docs).split()
    lengths = np.random.default_rng(seed).lognormal(np.log(52), 0.5, len(docs)).astype(int) + 1
    starts = np.cumsum([0, *lengths[:-1]]) % max(1, len(words) - int(lengths.max()))
    return [
        " ".join(words[start : start + length])
        for start, length in zip(starts, lengths, strict=True)
    ]


def saved(name: str, folder: Path) -> Path:
    """The model in a folder of its own, its adapter merged, as a user would deploy it."""
    if Path(name).is_dir():
        return Path(name)
    reranker = rerankers.build(name)
    reranker.check()
    reranker._load_torch().save_pretrained(str(folder))
    return folder


def make_ways(
    folder: Path, arguments: argparse.Namespace, tuning: Sequence[Sequence[Request]]
) -> dict[str, Way]:
    """name -> a function from requests to all their scores. The two plain ones come first."""
    model = CrossEncoder(str(folder), device="cpu", activation_fn=torch.nn.Identity())

    def predict(batch_size: int) -> Way:
        return lambda requests: model.predict(
            [(one.query, doc) for one in requests for doc in one.docs], batch_size=batch_size
        )

    best = min(
        TUNED, key=lambda size: sum(seconds(predict(size), call) for call in (tuning[0], *tuning))
    )
    print(f"predict's best batch on the tuning queries: {best} of {', '.join(map(str, TUNED))}")
    ways = {PLAIN: predict(32), BEST: predict(best)}
    if arguments.queries_per_call > 1:
        ways[LOOP] = lambda requests: np.concatenate([ways[PLAIN]([one]) for one in requests])
    asked = WAYS | {
        f"torch fp32, {budget} tokens": {"token_budget": budget}
        for budget in arguments.token_budgets
    }
    for name, options in asked.items():
        if arguments.only and not any(word in name for word in arguments.only):
            continue
        reranker = rerankers.build("cross-encoder", {"model": str(folder), **options})
        try:
            reranker.check()
        except Unavailable as error:
            print(f"{name}: left out, {error}")
            continue
        reranker.load()
        for text in sentences(read_notes(reranker.describe().facts["warnings"])):
            print(f"{name}: {text}")
        ways[name] = lambda requests, reranker=reranker: np.concatenate(reranker.rerank(requests))
    return ways


def report(
    ways: dict[str, Way], calls: Sequence[Sequence[Request]], arguments: argparse.Namespace
) -> None:
    taken, agreement = measured(
        ways, calls, time.process_time if arguments.cpu_time else time.perf_counter
    )
    pairs = sum(len(one.docs) for one in calls[0])
    print(
        f"\n{len(calls)} rounds of {pairs} pairs, {torch.get_num_threads()} threads, "
        f"{'processor time, ' * arguments.cpu_time}{arguments.model}"
    )
    bases = {name: title for name, title in BASES.items() if name in ways}
    print(f"{'':30}{''.join(f'{title:>23}' for title in bases.values())}{'max Δ':>9}{'tau':>8}")
    for name in ways:
        cells = [quartiles(np.array(taken[base]) / np.array(taken[name])) for base in bases]
        differences, taus = zip(*agreement[name], strict=True)
        shown = "".join(f"{cell:>23}" for cell in cells)
        print(f"{name:30}{shown}{max(differences):>9.0e}{np.mean(taus):>8.4f}")


def measured(
    ways: dict[str, Way], calls: Sequence[Sequence[Request]], clock: Callable[[], float]
) -> tuple[dict[str, list[float]], dict[str, list[tuple[float, float]]]]:
    """Seconds of every call, and (largest difference, tau) of every query, by way."""
    taken: dict[str, list[float]] = {name: [] for name in ways}
    agreement: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for way in ways.values():
        way(calls[0])
    for i, call in enumerate(calls):
        scores = {}
        for name in ways if i % 2 == 0 else reversed(ways):
            start = clock()
            scores[name] = ways[name](call)
            taken[name].append(clock() - start)
        bounds = np.cumsum([len(one.docs) for one in call])[:-1]
        for name in ways:
            for right, found in zip(
                np.split(scores[PLAIN], bounds), np.split(scores[name], bounds), strict=True
            ):
                places = np.argsort(np.argsort(-found, kind="stable"))[
                    np.argsort(-right, kind="stable")
                ]
                agreement[name].append(
                    (float(np.abs(found - right).max()), kendall_tau(places.tolist()))
                )
    return taken, agreement


def quartiles(ratios: np.ndarray) -> str:
    low, middle, high = np.quantile(ratios, [0.25, 0.5, 0.75])
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"


def seconds(way: Way, call: Sequence[Request]) -> float:
    start = time.perf_counter()
    way(call)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
