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
several queries a call also against predict in a loop over the queries, as most scripts do it.
Agreement is with predict's float32 scores: largest difference, mean Kendall tau over the queries.
What is not installed is left out, with the reason.
"""

from __future__ import annotations

import argparse
import itertools
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sentence_transformers import CrossEncoder
from torch.utils.flop_counter import FlopCounterMode

from bench import datasets, rerankers, retrieval
from bench.contract.request import CandidateList
from bench.core.errors import Unavailable
from bench.core.note import read_notes
from bench.core.wording import sentences
from bench.machine.fingerprint import usable_cores
from bench.quality.statistics import kendall_tau

AUTO = {"workers": "auto", "token_budget": "auto"}
"""The fastest that is found when the model loads, on made pairs."""
WAYS: dict[str, dict[str, Any]] = {
    "torch fp32, token budget": {},
    "torch fp32, batch 32 by tokens": {"batch_size": 32},
    "torch fp32, auto": AUTO,
    "torch bf16": {"dtype": "bfloat16"},
    "torch bf16, auto": {"dtype": "bfloat16", **AUTO},
    "onnx fp32": {"runtime": "onnx"},
    "onnx fp32, auto": {"runtime": "onnx", **AUTO},
    "openvino fp32": {"runtime": "openvino"},
    "openvino fp32, auto": {"runtime": "openvino", **AUTO},
    "openvino bf16": {"runtime": "openvino", "dtype": "bfloat16"},
    "openvino bf16, auto": {"runtime": "openvino", "dtype": "bfloat16", **AUTO},
    "openvino int8": {"runtime": "openvino", "dtype": "int8"},
    "openvino int8, auto": {"runtime": "openvino", "dtype": "int8", **AUTO},
}
PLAIN, BEST, LOOP = "predict, batch 32", "predict, its best batch", "predict, a query a call"
BASES = {PLAIN: "against predict at 32", BEST: "at its best batch", LOOP: "at 32, query by query"}
TUNED = (8, 16, 64)
LEAST = "torch fp32, token budget"
"""The way whose products are counted: without most of the padding, and without what the head does
not read.
"""
PRODUCTS = 40
"""Large products that are timed for the limit."""
Way = Callable[[Sequence[CandidateList]], np.ndarray]


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
    parser.add_argument("--threads", type=int, default=usable_cores())
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


def make_calls(arguments: argparse.Namespace) -> list[list[CandidateList]]:
    """Return a list of requests for each round, and two more for tuning; each with other queries
    as long as there are any.
    """
    dataset = datasets.load(arguments.dataset or "embedded:everyday", None, Path.cwd())
    number, size = arguments.rounds + 2, arguments.queries_per_call
    wanted = list(dataset.queries)[: number * size]
    candidates = (
        retrieval.build("bm25", None, Path.cwd())
        .retrieve(dataset, wanted, arguments.depth)
        .by_query
    )
    requests: list[CandidateList] = []
    for query, ranking in candidates.items():
        texts = dataset.texts(ranking.doc_ids)
        if not arguments.dataset:
            texts = spread(texts, len(requests))
        requests.append(CandidateList(query, dataset.queries[query], ranking.doc_ids, texts))
    endless = itertools.cycle(requests)
    return [list(itertools.islice(endless, size)) for _ in range(number)]


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
    """Return the folder of the model, its adapter merged, as a user would deploy it."""
    if Path(name).is_dir():
        return Path(name)
    reranker: Any = rerankers.build(name)
    reranker.check()
    reranker._load_torch().save_pretrained(str(folder))
    return folder


def make_ways(
    folder: Path, arguments: argparse.Namespace, tuning: Sequence[Sequence[CandidateList]]
) -> dict[str, Way]:
    """Return name -> a function from requests to all their scores; the two plain ones first."""
    model = CrossEncoder(str(folder), device="cpu", activation_fn=torch.nn.Identity())

    def predict(batch_size: int) -> Way:
        def scores(requests: Sequence[CandidateList]) -> np.ndarray:
            pairs: list[tuple[str, str]] = []
            for request in requests:
                pairs += [(request.query, doc) for doc in request.docs]
            return np.asarray(model.predict(pairs, batch_size=batch_size))

        return scores

    best = min(
        TUNED, key=lambda size: sum(seconds(predict(size), call) for call in (tuning[0], *tuning))
    )
    print(f"predict's best batch on the tuning queries: {best} of {', '.join(map(str, TUNED))}")
    ways = {PLAIN: predict(32), BEST: predict(best)}
    if arguments.queries_per_call > 1:
        ways[LOOP] = lambda requests: np.concatenate(
            [ways[PLAIN]([request]) for request in requests]
        )
    settings = WAYS | {
        f"torch fp32, {budget} tokens": {"token_budget": budget}
        for budget in arguments.token_budgets
    }
    for name, options in settings.items():
        if arguments.only and not any(word in name for word in arguments.only):
            continue
        reranker: Any = rerankers.build("cross-encoder", {"model": str(folder), **options})
        try:
            reranker.check()
        except Unavailable as error:
            print(f"{name}: left out, {error}")
            continue
        reranker.load()
        facts = reranker.describe().facts
        if "tuned" in facts:
            print(f"{name}: {facts['workers']} workers, {facts['token_budget']} tokens")
        for text in sentences(read_notes(facts["warnings"])):
            print(f"{name}: {text}")
        ways[name] = all_scores_of(reranker)
    return ways


def all_scores_of(reranker: Any) -> Way:
    return lambda requests: np.concatenate(reranker.rerank(requests))


def report(
    ways: dict[str, Way], calls: Sequence[Sequence[CandidateList]], arguments: argparse.Namespace
) -> None:
    clock, unit = time.perf_counter, ""
    if arguments.cpu_time:
        clock, unit = time.process_time, "processor time, "
    times, agreement = measured(ways, calls, clock)
    pairs = sum(len(request.docs) for request in calls[0])
    threads = torch.get_num_threads()
    print(f"\n{len(calls)} rounds of {pairs} pairs, {threads} threads, {unit}{arguments.model}")
    bases = {name: title for name, title in BASES.items() if name in ways}
    print(f"{'':30}{''.join(f'{title:>23}' for title in bases.values())}{'max Δ':>9}{'tau':>8}")
    for name in ways:
        cells = [quartiles(np.array(times[base]) / np.array(times[name])) for base in bases]
        differences, taus = zip(*agreement[name], strict=True)
        columns = "".join(f"{cell:>23}" for cell in cells)
        print(f"{name:30}{columns}{max(differences):>9.0e}{np.mean(taus):>8.4f}")
    if LEAST in ways:
        print_shares_of_limit(ways, calls, clock)


def print_shares_of_limit(
    ways: dict[str, Way], calls: Sequence[Sequence[CandidateList]], clock: Callable[[], float]
) -> None:
    """Print the share of what these threads multiply in float32 that each exact way reaches: the
    products of the network's linear layers on padded batches of the usual budget, per second, next
    to one large product timed right before. Attention's own products, some 4 %, are left out.
    """
    counter = FlopCounterMode(display=False)
    left, right = torch.rand(1024, 384), torch.rand(384, 1536)
    shares: dict[str, list[float]] = {name: [] for name in ways if "fp32" in name}
    for call in calls:
        with counter:
            ways[LEAST](call)
        needed = counter.get_total_flops()
        for name, reached in shares.items():
            start = clock()
            for _ in range(PRODUCTS):
                torch.mm(left, right)
            limit = PRODUCTS * 2 * left.numel() * right.shape[1] / (clock() - start)
            start = clock()
            ways[name](call)
            reached.append(needed / (clock() - start) / limit)
    print("\nshare of the float32 limit of these threads")
    for name, reached in shares.items():
        print(f"{name:30}{quartiles(np.array(reached)):>23}")


def measured(
    ways: dict[str, Way], calls: Sequence[Sequence[CandidateList]], clock: Callable[[], float]
) -> tuple[dict[str, list[float]], dict[str, list[tuple[float, float]]]]:
    """Return the seconds of every call, and (largest difference, tau) of every query, by way."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    agreement: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for way in ways.values():
        way(calls[0])
    for i, call in enumerate(calls):
        scores = {}
        order = list(ways)
        if i % 2:
            order.reverse()
        for name in order:
            start = clock()
            scores[name] = ways[name](call)
            times[name].append(clock() - start)
        bounds = np.cumsum([len(request.docs) for request in call])[:-1]
        for name in ways:
            queries = zip(
                np.split(scores[PLAIN], bounds), np.split(scores[name], bounds), strict=True
            )
            agreement[name] += [compared(*scores_of_query) for scores_of_query in queries]
    return times, agreement


def compared(reference: np.ndarray, scores: np.ndarray) -> tuple[float, float]:
    """Return (largest difference, Kendall's tau) of one query's scores to the reference's."""
    ranks = np.argsort(np.argsort(-scores, kind="stable"))
    ranks = ranks[np.argsort(-reference, kind="stable")]
    return float(np.abs(scores - reference).max()), kendall_tau(ranks.tolist())


def quartiles(ratios: np.ndarray) -> str:
    low, middle, high = np.quantile(ratios, [0.25, 0.5, 0.75])
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"


def seconds(way: Way, call: Sequence[CandidateList]) -> float:
    start = time.perf_counter()
    way(call)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
