"""The pieces of work of gpu_check.py, run in a process of their own: each appends its numbers to
the results file as it gets them.

- matrix: products and copies per second, the limits that other numbers are shares of
- agreement:KIND: scores of tiny networks on the card against those on the CPU
- attention: what a new shape of a batch costs, with cuDNN's attention and without
- packing:NAME: a network over padded batches and over packed ones, turn by turn
- forward:NAME: a packed forward pass alone, as Python starts it, compiled, and as one graph
- search: exact search over a million vectors, on the card and on the CPU
- throughput: this project's cross-encoder against plain CrossEncoder.predict, turn by turn
- architecture:NAME: a network of the catalogue at its real size with random weights, over queries
  of 100 candidates
- cpu:NAME: the same on the CPU, in float32
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench import rerankers
from bench.catalogue import entries
from bench.contract.request import CandidateList
from bench.core.errors import BenchError, Unavailable
from bench.machine import gpu
from bench.machine.clock import now_ns, synchroniser
from bench.rerankers.random.architecture import ArchitectureReranker

DTYPES = ("bfloat16", "float16", "float32")
DEPTH = 100
PASSAGE_TOKENS = (
    10,
    42,
    48,
    51,
    55,
    57,
    60,
    63,
    65,
    68,
    70,
    74,
    78,
    84,
    92,
    100,
    109,
    118,
    130,
    146,
    258,
)
QUERY_TOKENS = (4, 4, 5, 6, 6, 7, 7, 7, 9, 10, 13)
"""Quantiles of MS MARCO's lengths, from the least to the largest in equal steps: 14,581 passages
and the 43 queries of TREC DL 2019, in tokens of a BERT without special ones.
"""
P95_QUERIES = 59
"""As everywhere in this project: fewer distinct queries say nothing about a 95th percentile."""
QUERIES = 60
SECONDS = 3.0
"""Of timed queries per network and number format, at most, in bfloat16 twice as many, so that a
network of 100 ms has a p95; and of calls for throughput and energy, half as many.
"""
TINY_SIZES = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 16,
    "intermediate_size": 64,
    "vocab_size": 400,
    "pooler_hidden_size": 32,
    "position_buckets": 8,
    "d_model": 32,
    "d_ff": 64,
    "d_kv": 16,
    "num_heads": 2,
    "num_layers": 2,
}
"""What a dry run puts in place of the sizes of an architecture."""
KINDS = {
    "bert-cross-encoder": "cross-encoder",
    "xlmr-cross-encoder": "cross-encoder",
    "qwen3-reranker": "cross-encoder",
    "bert-bi-encoder": "bi-encoder",
    "colbert": "late-interaction",
    "monot5": "monot5",
    "rankt5": "rankt5",
}
FIRST = ("minilm-l6", "bge-reranker-v2-m3", "minilm-l12", "bge-reranker-base")
"""What readers ask for first; after them come the others, the smallest first, so that the time runs
out on the largest.
"""
LISTWISE_QUERIES = 1
KNOWN_WORDS = (
    "rain",
    "moon",
    "tea",
    "cat",
    "dog",
    "the",
    "river",
    "bank",
    "cold",
    "hot",
    "sun",
    "fish",
    "mat",
    "money",
)
"""Each is one token of the tiny networks."""
MAX_SHARE = 0.01
"""Of the spread of the scores, what a card may change in float32: products rounded to TF32 reach a
tenth of that, a wrong kernel all.
"""
DRY_PATIENCE = 4.0
"""A dry run may share its processor with much else."""
WAYS: dict[str, dict[str, Any]] = {
    "padded": {},
    "padded, 65,536 tokens": {"token_budget": 65_536},
    "packed": {"attention": "packed"},
    "packed, 65,536 tokens": {"attention": "packed", "token_budget": 65_536},
}
"""Batches of the piece `packing`, and the options that make them."""
ONE_BATCH = ("padded", "packed")
FORWARD_WAYS = ("as Python starts it", "compiled", "one graph")
FORWARD = ("minilm-l6", "bge-reranker-base")
FORWARD_QUERIES = 6
"""Of 100 candidates: nearly 65,536 tokens."""
PACKED = ("minilm-l6", "minilm-l12", "bge-reranker-base", "bge-reranker-v2-m3")
VECTORS, DIMENSIONS, SEARCHES = 1_000_000, 384, 64
"""Of the search that is timed."""
LIMITS_S = {
    "packing": 60.0,
    "forward": 60.0,
    "search": 60.0,
    "matrix": 60.0,
    "agreement": 40.0,
    "attention": 40.0,
    "throughput": 60.0,
    "architecture": 90.0,
    "cpu": 40.0,
}


class Worker:
    """Holds the device, the results file and whether this is a dry run."""

    def __init__(self, results: Path | None, *, dry_run: bool) -> None:
        self.results, self.dry_run = results, dry_run
        self.device = "cpu" if dry_run else "cuda"
        self.synchronise = synchroniser(self.device)

    def add(self, **line: Any) -> None:
        """Append one line to the results, on the disk when this returns."""
        if self.results is None:
            return
        with open(self.results, "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def seconds(self, work: Callable[[], object], device: str | None = None) -> float:
        """Return how long a call takes until the device has finished it."""
        synchronise = self.synchronise if device is None else synchroniser(device)
        synchronise()
        start = now_ns()
        work()
        synchronise()
        return (now_ns() - start) / 1e9


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--describe", action="store_true")
    parser.add_argument("--dry-run", action="store_true")
    parser.add_argument("--results", type=Path)
    parser.add_argument("pieces", nargs="*")
    options = parser.parse_args()
    worker = Worker(options.results, dry_run=options.dry_run)
    if options.dry_run:
        torch.set_num_threads(1)
    elif not torch.cuda.is_available():
        print("no CUDA device: `--dry-run` tries the script on the CPU", file=sys.stderr)
        return 2
    if options.describe:
        print(json.dumps(describe(worker)))
        return 0
    for name in options.pieces:
        print(f"begin {name}", flush=True)
        is_sound = perform(worker, name)
        print(f"end {name}", flush=True)
        if not is_sound:
            return 1
    return 0


def perform(worker: Worker, name: str) -> bool:
    """Do one piece of work and say how it ended; return whether this process can go on.

    A piece that lacks something is left out, one that runs out of memory fails alone. After any
    other fault the device may be broken for this process: the next piece gets a new one.
    """
    kind, _, subject = name.partition(":")
    start = time.monotonic()
    is_sound = True
    try:
        STEPS[kind](worker, subject)
        outcome = {"status": "done"}
    except Unavailable as error:
        outcome = {"status": "left out", "reason": str(error)}
    except ModuleNotFoundError as error:
        outcome = {
            "status": "left out",
            "reason": f"{error.name} is not installed here; see --wheels",
        }
    except BenchError as error:
        outcome = {"status": "failed", "reason": str(error)}
    except torch.cuda.OutOfMemoryError:
        outcome = {"status": "failed", "reason": "out of memory"}
    except Exception as error:
        traceback.print_exc()
        outcome = {
            "status": "failed",
            "reason": f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')}",
        }
        is_sound = False
    worker.add(kind="piece", name=name, seconds=round(time.monotonic() - start, 1), **outcome)
    return is_sound


def describe(worker: Worker) -> dict[str, Any]:
    """Return what the machine is, and the pieces of work with their limits, in the order in which
    they are done.
    """
    facts = gpu.facts(worker.device)
    versions = {"torch": torch.__version__, "python": platform.python_version()}
    for package in ("transformers", "sentence-transformers", "pytest"):
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = None
    names = ["matrix", *(f"agreement:{kind}" for kind in KINDS)]
    names += ["attention", *(f"packing:{name}" for name in packed(worker.dry_run))]
    names += ["search", "throughput", "cpu:minilm-l6"]
    names += [f"forward:{name}" for name in FORWARD[: 1 if worker.dry_run else None]]
    names += [f"architecture:{name}" for name in architectures(worker.dry_run)]
    patience = DRY_PATIENCE if worker.dry_run else 1.0
    pieces = [
        {"name": name, "limit_s": patience * LIMITS_S[name.partition(":")[0]]} for name in names
    ]
    return {
        "device": facts["gpu"] or "dry-run",
        "gpu": facts,
        "versions": versions,
        "pieces": pieces,
    }


def packed(dry_run: bool) -> list[str]:
    """Return the networks that are timed packed and padded; a dry run has one."""
    return list(PACKED[:1] if dry_run else PACKED)


def architectures(dry_run: bool) -> list[str]:
    """Return the catalogue's names; in a dry run one of each type of network."""
    known = {
        name: entry.facts for name, entry in entries.load().items() if entry.facts.architecture
    }
    smallest_first = sorted(known, key=lambda name: known[name].parameters or 0)
    names = [*FIRST, *(name for name in smallest_first if name not in FIRST)]
    if not dry_run:
        return names
    of_type = {
        (known[name].architecture.type, known[name].architecture.task): name
        for name in reversed(names)
    }
    return sorted(of_type.values(), key=names.index)


# --- the card


def matrix(worker: Worker, _: str) -> None:
    """Products of square matrices in every number format, and a copy: as fast as this card gets, on
    random numbers.
    """
    size = 128 if worker.dry_run else 8192
    for name in (*DTYPES, "tf32"):
        dtype = torch.float32 if name == "tf32" else getattr(torch, name)
        before = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision("high" if name == "tf32" else "highest")
        left, right = (torch.randn(size, size, device=worker.device).to(dtype) for _ in range(2))
        seconds = seconds_per_product(
            worker, left, right, repeats=2 if worker.dry_run or name == "float32" else 10
        )
        torch.set_float32_matmul_precision(before)
        worker.add(kind="matrix", dtype=name, size=size, tflops=2 * size**3 / seconds / 1e12)
    source = torch.empty(
        2**20 if worker.dry_run else 2**31, dtype=torch.uint8, device=worker.device
    )
    target = torch.empty_like(source)
    target.copy_(source)
    seconds = min(worker.seconds(lambda: target.copy_(source)) for _ in range(3))
    worker.add(kind="matrix", dtype="copy", gigabytes_per_s=2 * source.numel() / seconds / 1e9)


def seconds_per_product(
    worker: Worker, left: torch.Tensor, right: torch.Tensor, repeats: int
) -> float:
    """Return the seconds of one product, from the fastest of three rows of them after a warm-up."""

    def products() -> None:
        for _ in range(repeats):
            torch.matmul(left, right)

    products()
    return min(worker.seconds(products) for _ in range(3)) / repeats


# --- scores


def agreement(worker: Worker, kind: str) -> None:
    """Scores of a tiny network on the device in each number format, against the CPU's in
    float32.
    """
    generator = np.random.default_rng(0)
    docs = [
        " ".join(generator.choice(KNOWN_WORDS, size=size))
        for size in generator.integers(3, 60, size=20)
    ]
    request = CandidateList("q", "how long does it rain", [f"d{i}" for i in range(len(docs))], docs)
    expected = tiny_scores(kind, "cpu", "float32", request)
    for dtype in DTYPES:
        scores = tiny_scores(kind, worker.device, dtype, request)
        difference = float(np.abs(scores - expected).max())
        spread = float(np.ptp(expected))
        share = difference / spread if spread else None
        worker.add(
            kind="agreement",
            model=kind,
            dtype=dtype,
            max_difference=difference,
            share_of_spread=share,
            tau=tau(expected, scores),
        )
        if dtype == "float32" and difference > MAX_SHARE * spread:
            raise BenchError(
                f"float32 scores differ from the CPU's by {difference:.3g}, more than "
                f"{MAX_SHARE:.0%} of their spread {spread:.3g}"
            )


def tiny_scores(kind: str, device: str, dtype: str, request: CandidateList) -> np.ndarray:
    reranker = rerankers.build(KINDS[kind], {"model": f"tiny:{kind}", "dtype": dtype}, device)
    reranker.check()
    reranker.load()
    (scores,) = reranker.rerank([request])
    reranker.close()
    return np.asarray(scores)


def tau(expected: np.ndarray, scores: np.ndarray) -> float:
    from bench.quality.statistics import kendall_tau

    places = np.argsort(np.argsort(-scores, kind="stable"))
    return float(kendall_tau(places[np.argsort(-expected, kind="stable")].tolist()))


# --- attention

ATTENTION_QUERIES = 40


def attention(worker: Worker, _: str) -> None:
    """The time of a query in bfloat16 whose shape the process meets for the first time, and for the
    second, with cuDNN's attention and without: the same network and queries.
    """
    queries, depth = (2, 8) if worker.dry_run else (ATTENTION_QUERIES, DEPTH)
    requests = list(made_up_requests(queries, depth))
    for kernel in ("sdpa", "cudnn"):
        reranker = network_of(
            "minilm-l6", "bfloat16", worker.device, tiny=worker.dry_run, attention=kernel
        )
        reranker.check()
        reranker.load()
        reranker._lengths = WordLengths()
        # what the first call of all costs is no part of this
        reranker.rerank(requests[:1])
        first, second = (median_ms(worker, reranker, requests) for _ in range(2))
        reranker.close()
        worker.add(
            kind="attention",
            attention=kernel,
            queries=len(requests),
            first_p50_ms=first,
            second_p50_ms=second,
        )


def median_ms(worker: Worker, reranker: Any, requests: Sequence[CandidateList]) -> float:
    """Return the median time of one query a call."""
    times = [
        worker.seconds(lambda request=request: reranker.rerank([request])) for request in requests
    ]
    return 1000 * float(np.median(times))


# --- packing


def packing(worker: Worker, name: str) -> None:
    """One network in bfloat16 over padded batches and over packed ones: the same queries one a
    call, then ten a call, turn by turn.

    On a CPU, where there is no kernel for it, packed sequences go one after the other.
    """
    queries, depth = (2, 8) if worker.dry_run else (QUERIES, DEPTH)
    requests = list(made_up_requests(queries, depth))
    ways = {way: packing_way(worker, name, way) for way in WAYS}
    # one batch each: made-up tokens depend on the place in it
    padded, packed = (ways[f"{way}, 65,536 tokens"].rerank(requests[:1])[0] for way in ONE_BATCH)
    spread = float(np.ptp(padded))
    difference = float(np.abs(np.asarray(packed) - np.asarray(padded)).max())
    single: dict[str, list[float]] = {way: [] for way in ways}
    pooled: dict[str, list[float]] = {way: [] for way in ways}
    for request in requests:
        for way in ways:
            seconds = worker.seconds(lambda way=way, request=request: ways[way].rerank([request]))
            single[way].append(1000 * seconds)
    for _ in range(1 if worker.dry_run else 5):
        for way in ways:
            seconds = worker.seconds(lambda way=way: ways[way].rerank(requests[:10]))
            pooled[way].append(seconds)
    operations = operations_of(ways["padded"], requests[:10])
    pairs = sum(len(request.docs) for request in requests[:10])
    for way, reranker in ways.items():
        usage = reranker.meter.take()
        seconds = float(np.median(pooled[way]))
        padding = 1 - usage.tokens / usage.slots
        ratios = np.array(pooled["padded"]) / np.array(pooled[way])
        worker.add(
            kind="packing",
            model=name,
            way=way,
            p50_ms=float(np.median(single[way])),
            p95_ms=float(np.quantile(single[way], 0.95)),
            pairs_per_s=pairs / seconds,
            ratio=float(np.median(ratios)),
            padding=padding,
            padded_tflops=None if operations is None else operations / seconds / 1e12,
            share_of_spread=difference / spread if spread and way.startswith("packed") else None,
        )
        reranker.close()


def packing_way(worker: Worker, name: str, way: str) -> Any:
    """Return a loaded network that packs or pads its batches."""
    reranker = network_of(name, "bfloat16", worker.device, tiny=worker.dry_run, **WAYS[way])
    if not worker.dry_run:
        reranker.check()
    reranker.load()
    reranker._lengths = WordLengths()
    return reranker


# --- forward


def forward(worker: Worker, name: str) -> None:
    """A packed forward pass in bfloat16 alone, its inputs on the device: as Python starts it, its
    encoder compiled, and all its kernels replayed as one graph. How far these lie apart is what
    less work on the host and fewer kernels could bring, and the graph's time is the card's own.
    """
    depth = 8 if worker.dry_run else DEPTH
    reranker = packing_way(worker, name, "packed, 65,536 tokens")
    network = reranker._network
    for queries in (1, FORWARD_QUERIES):
        pairs: list[tuple[str, str]] = []
        for request in made_up_requests(queries, depth):
            pairs += [(request.query, doc) for doc in request.docs]
        lengths = np.sort(reranker._pair_lengths(pairs))[::-1]
        inputs = network.inputs(lengths)
        expected = network.logits(inputs)
        config = network.network.config
        facts = {
            "pairs": len(pairs),
            "operations": packed_operations(config, lengths),
            "moved_bytes": packed_bytes(config, lengths),
        }
        # as it is first: what comes later may leave the device in disorder
        for way in FORWARD_WAYS:
            try:
                call = forward_way(worker, network, inputs, way)
                difference = float((call() - expected).abs().max())
                seconds = [worker.seconds(call) for _ in range(2 if worker.dry_run else 30)]
                numbers = {"ms": 1000 * float(np.median(seconds)), "max_difference": difference}
            except RuntimeError as error:
                traceback.print_exc()
                numbers = {"left_out": next(iter(str(error).splitlines()), "")}
            worker.add(kind="forward", model=name, way=way, **facts, **numbers)
    reranker.close()


def forward_way(
    worker: Worker, network: Any, inputs: dict[str, Any], way: str
) -> Callable[[], torch.Tensor]:
    """Return a forward pass over these inputs that was done before, whatever it has to prepare. A
    dry run has one way: on a CPU attention is a loop, which takes a compiler minutes.
    """
    encoder = network.network.base_model.encoder.forward

    def call() -> torch.Tensor:
        logits: torch.Tensor = network.logits(inputs)
        return logits

    call()
    if way == "as Python starts it" or worker.dry_run:
        return call
    if way == "compiled":
        compiled = torch.compile(encoder.run, dynamic=True)

        def call_compiled() -> torch.Tensor:
            own, encoder.run = encoder.run, compiled
            try:
                return call()
            finally:
                encoder.run = own

        call_compiled()
        return call_compiled
    return replayed(call)


def replayed(call: Callable[[], torch.Tensor]) -> Callable[[], torch.Tensor]:
    """Return a call's kernels as one graph, which the card gets at once. Source: PyTorch's notes on
    CUDA graphs: what is captured was run on a stream of its own before.
    """
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            call()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        logits = call()

    def replay() -> torch.Tensor:
        graph.replay()
        return logits

    return replay


def packed_operations(config: Any, lengths: np.ndarray) -> int:
    """Return the floating-point operations of an encoder of BERT's layout over tokens without
    padding: its products, and those of attention.
    """
    size, inner, tokens = config.hidden_size, config.intermediate_size, int(lengths.sum())
    products = 2 * tokens * (4 * size * size + 2 * size * inner)
    attended = 4 * size * int((lengths.astype(np.int64) ** 2).sum())
    return int(config.num_hidden_layers * (products + attended))


def packed_bytes(config: Any, lengths: np.ndarray) -> int:
    """Return what the operations of such layers read and write in 16 bits, weights apart, each
    operation on its own: joined ones move less, and a card's cache may keep what the next one
    reads.
    """
    size, inner = config.hidden_size, config.intermediate_size
    # projections, attention, mixing, sum, norm; widening, activation, narrowing, sum, norm
    numbers = (4 + 4 + 2 + 3 + 2) * size + (size + inner) + 2 * inner + (inner + size) + 5 * size
    return int(2 * numbers * int(lengths.sum()) * config.num_hidden_layers)


# --- search


def search(worker: Worker, _: str) -> None:
    """Exact search over random unit vectors, on the device and on the CPU: one query a call, then
    all in one. Both have to pick the same best rows.
    """
    from bench.retrieval.dense_gpu import ExactOnDevice
    from bench.retrieval.dense_index import Exact, unit

    rows = 2_000 if worker.dry_run else VECTORS
    generator = np.random.default_rng(0)
    vectors = np.empty((rows, DIMENSIONS), dtype=np.float16)
    for start in range(0, rows, 100_000):
        block = generator.standard_normal(vectors[start : start + 100_000].shape, dtype=np.float32)
        vectors[start : start + len(block)] = unit(block)
    queries = unit(generator.standard_normal((SEARCHES, DIMENSIONS), dtype=np.float32))
    searchers = {
        f"{worker.device}, torch": ExactOnDevice(vectors, worker.device),
        "cpu, numpy": Exact(vectors),
    }
    best: dict[str, list[list[int]]] = {}
    for place, searcher in searchers.items():
        list(searcher.pick(queries[:1], DEPTH))
        milliseconds = [
            1000 * worker.seconds(partial(list, searcher.pick(query[None], DEPTH)))
            for query in queries[:20]
        ]
        together = worker.seconds(partial(list, searcher.pick(queries, DEPTH)))
        picks = searcher.pick(queries, DEPTH)
        best[place] = [
            best_rows(vectors, query, pick) for query, pick in zip(queries, picks, strict=True)
        ]
        worker.add(
            kind="search",
            place=place,
            vectors=rows,
            dimensions=DIMENSIONS,
            p50_ms=float(np.median(milliseconds)),
            queries_per_s=len(queries) / together,
        )
    if len({json.dumps(lists) for lists in best.values()}) > 1:
        raise BenchError("the device and the CPU do not pick the same documents")


def best_rows(vectors: np.ndarray, query: np.ndarray, rows: np.ndarray) -> list[int]:
    """Return the best of the rows that a search picked, by products in float64."""
    scores = vectors[rows].astype(np.float64) @ query.astype(np.float64)
    order = np.lexsort((rows, -scores))[:DEPTH]
    return [int(row) for row in rows[order]]


# --- throughput


def throughput(worker: Worker, _: str) -> None:
    """This project's cross-encoder and CrossEncoder.predict on one network of MiniLM-L6's size,
    turn by turn over the same 1,000 pairs.
    """
    import tempfile

    with tempfile.TemporaryDirectory() as place:
        folder = cross_encoder_folder(Path(place), worker.dry_run)
        for dtype in ("float32", "bfloat16"):
            compare(worker, folder, dtype)


def compare(worker: Worker, folder: Path, dtype: str) -> None:
    requests = list(made_up_requests(2 if worker.dry_run else 10, 8 if worker.dry_run else DEPTH))
    pairs: list[tuple[str, str]] = []
    for request in requests:
        pairs += [(request.query, doc) for doc in request.docs]
    reranker: Any = rerankers.build(
        "cross-encoder", {"model": str(folder), "dtype": dtype}, worker.device
    )
    reranker.check()
    reranker.load()
    predict = predictor(folder, worker.device, dtype)
    ways: dict[str, Callable[[], Any]] = {"rerank-bench": lambda: reranker.rerank(requests)}
    if worker.device == "cuda" and dtype != "float32":
        options = {"model": str(folder), "dtype": dtype, "attention": "packed"}
        packed: Any = rerankers.build("cross-encoder", options, worker.device)
        packed.load()
        ways["rerank-bench, packed"] = lambda: packed.rerank(requests)
    for batch_size in (8,) if worker.dry_run else (32, 128, 512):
        ways[f"predict, batch {batch_size}"] = lambda batch_size=batch_size: predict(
            pairs, batch_size
        )
    times: dict[str, list[float]] = {name: [] for name in ways}
    for way in ways.values():
        way()
    for turn in range(1 if worker.dry_run else 5):
        for name in ways if turn % 2 == 0 else reversed(ways):
            times[name].append(worker.seconds(ways[name]))
    ours, theirs = np.concatenate(reranker.rerank(requests)), np.asarray(predict(pairs, 32))
    difference = float(np.abs(ours - theirs).max())
    for name, seconds in times.items():
        ratios = np.array(seconds) / np.array(times["rerank-bench"])
        speed = len(pairs) / float(np.median(seconds))
        worker.add(
            kind="throughput",
            way=name,
            dtype=dtype,
            pairs_per_s=speed,
            ratio=float(np.median(ratios)),
            max_difference=difference,
        )
    reranker.close()


def predictor(
    folder: Path, device: str, dtype: str
) -> Callable[[Sequence[tuple[str, str]], int], Any]:
    from sentence_transformers import CrossEncoder

    options = {"dtype": getattr(torch, dtype)}
    model = CrossEncoder(
        str(folder),
        device=device,
        local_files_only=True,
        model_kwargs=options,
        activation_fn=torch.nn.Identity(),
    )
    return lambda pairs, batch_size: model.predict(
        list(pairs), batch_size=batch_size, show_progress_bar=False
    )


def cross_encoder_folder(folder: Path, dry_run: bool) -> Path:
    """Save a cross-encoder of MiniLM-L6's sizes with random weights; its tokenizer reads each
    made-up word as one token.
    """
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizerFast

    architecture = entries.load()["minilm-l6"].facts.architecture
    sizes = dict(architecture.config) if architecture else {}
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    if dry_run:
        sizes |= {name: size for name, size in TINY_SIZES.items() if name in sizes} | {
            "vocab_size": len(tokens)
        }
    torch.manual_seed(0)
    BertForSequenceClassification(BertConfig(**sizes, num_labels=1)).eval().save_pretrained(folder)
    vocabulary = {token: number for number, token in enumerate(tokens)}
    BertTokenizerFast(vocab=vocabulary, model_max_length=512).save_pretrained(folder)
    return folder


# --- architectures


WORDS = [f"word{number}" for number in range(1000)]


class WordLengths:
    """Counts words: the texts here are made so that each is one token."""

    rule = "made-up words, one token each"

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        return np.array([len(text.split()) for text in texts], dtype=np.int64)


def made_up_requests(queries: int, depth: int) -> Iterator[CandidateList]:
    """Yield queries with candidates whose lengths are distributed as MS MARCO's."""
    generator = np.random.default_rng(0)
    for number in range(queries):
        query = made_up(generator, QUERY_TOKENS)
        yield CandidateList(
            f"q{number}",
            query,
            [f"d{i}" for i in range(depth)],
            [made_up(generator, PASSAGE_TOKENS) for _ in range(depth)],
        )


def made_up(generator: np.random.Generator, quantiles: Sequence[int]) -> str:
    length = np.interp(generator.random(), np.linspace(0, 1, len(quantiles)), quantiles)
    return " ".join(generator.choice(WORDS, size=max(1, round(length))))


def architecture(worker: Worker, name: str) -> None:
    """A network in each number format."""
    entry = entries.load()[name]
    is_list = entry.facts.architecture is not None and entry.facts.architecture.task == "list"
    for dtype in ("bfloat16",) if is_list else DTYPES:
        measure(worker, name, dtype, worker.device)


def on_cpu(worker: Worker, name: str) -> None:
    measure(worker, name, "float32", "cpu")


def measure(worker: Worker, name: str, dtype: str, device: str) -> None:
    """Time one network in one number format; a lack of memory is a line of its own, so that the
    other formats go on.
    """
    try:
        numbers = measured(worker, name, dtype, device)
    except Unavailable as error:
        numbers = {"left_out": str(error)}
    except torch.cuda.OutOfMemoryError:
        numbers = {"left_out": "out of memory"}
    if device == "cuda":
        torch.cuda.empty_cache()
    worker.add(kind="architecture", model=name, dtype=dtype, device=device, **numbers)


def measured(worker: Worker, name: str, dtype: str, device: str) -> dict[str, Any]:
    reranker = network_of(name, dtype, device, tiny=worker.dry_run)
    reranker.check()
    gpu.reset_memory_peaks(device)
    reranker.load()
    reranker._lengths = WordLengths()
    is_list = reranker.architecture.task == "list"
    queries = QUERIES
    if is_list:
        queries = LISTWISE_QUERIES
    elif worker.dry_run:
        queries = 1
    requests = list(made_up_requests(queries, 8 if worker.dry_run else DEPTH))
    if not is_list:
        for request in requests[:3]:
            reranker.rerank([request])
        reranker.meter.take()
    milliseconds: list[float] = []
    start = time.monotonic()
    for request in requests:
        milliseconds.append(
            1000 * worker.seconds(lambda request=request: reranker.rerank([request]), device)
        )
        if time.monotonic() - start > (2 if dtype == "bfloat16" else 1) * SECONDS:
            break
    used = reranker.meter.take()
    p50 = float(np.median(milliseconds))
    timed = requests[: len(milliseconds)]
    numbers = {
        "parameters": reranker.facts.parameters,
        "queries": len(milliseconds),
        "depth": len(requests[0].docs),
        "p50_ms": p50,
        "p95_ms": float(np.quantile(milliseconds, 0.95))
        if len(milliseconds) >= P95_QUERIES
        else None,
        "ms_per_pair": p50 / len(requests[0].docs),
        "tokens_per_pair": used.tokens / max(1, used.pairs),
        "padding": 1 - used.tokens / used.slots if used.slots else 0.0,
        **(pooled(worker, reranker, timed, device) if not is_list else {}),
        **{
            key.removesuffix("_bytes") + "_gb": value / 1e9
            for key, value in gpu.memory(device).items()
        },
    }
    reranker.close()
    return numbers


def pooled(
    worker: Worker, reranker: Any, requests: Sequence[CandidateList], device: str
) -> dict[str, Any]:
    """Throughput, energy and floating-point operations of ten queries in one call, over and over
    for a while.
    """
    requests = requests[:10]
    pairs = sum(len(request.docs) for request in requests)
    operations = operations_of(reranker, requests)
    meter = gpu.meter(device)
    before = meter.energy_mj() if meter else None
    times: list[float] = []
    start = time.monotonic()
    while not times or time.monotonic() - start < (0.0 if worker.dry_run else SECONDS / 2):
        times.append(worker.seconds(lambda: reranker.rerank(requests), device))
    after = meter.energy_mj() if meter else None
    drawn = None if before is None or after is None else (after - before) / (pairs * len(times))
    return {
        "pairs_per_s": pairs / float(np.median(times)),
        "tflops": None if operations is None else operations / float(np.median(times)) / 1e12,
        "joules_per_1000_pairs": drawn,
    }


def operations_of(reranker: Any, requests: Sequence[CandidateList]) -> int | None:
    """Return the floating-point operations of matrix products and attention in a call, padding
    included; None where torch cannot count.
    """
    from torch.utils.flop_counter import FlopCounterMode

    reranker._network.network.requires_grad_(
        False
    )  # the counter hooks into gradients where there are any
    try:
        with FlopCounterMode(display=False) as counter:
            reranker.rerank(requests)
    except (
        RuntimeError,
        AttributeError,
        NotImplementedError,
    ):  # a private part of torch: what it cannot count is no reason to lose the rest
        traceback.print_exc()
        return None
    return int(counter.get_total_flops())


def network_of(
    name: str, dtype: str, device: str, *, tiny: bool, **more: Any
) -> ArchitectureReranker:
    """Return the reranker that times a network of the catalogue without its weights, nothing built
    yet; `tiny` shrinks it.
    """
    entry = entries.load()[name]
    options = rerankers.options_for(name).model_validate(
        {"weights": "random", "dtype": dtype, **more}
    )
    if tiny and entry.facts.architecture:
        config = {**entry.facts.architecture.config}
        config |= {key: size for key, size in TINY_SIZES.items() if key in config}
        small = entry.facts.architecture.model_copy(update={"config": config})
        entry = entry.model_copy(
            update={
                "facts": entry.facts.model_copy(update={"architecture": small, "parameters": 1000})
            }
        )
    return ArchitectureReranker(name, entry, options, device)


STEPS: dict[str, Callable[[Worker, str], None]] = {
    "matrix": matrix,
    "agreement": agreement,
    "attention": attention,
    "packing": packing,
    "forward": forward,
    "search": search,
    "throughput": throughput,
    "architecture": architecture,
    "cpu": on_cpu,
}

if __name__ == "__main__":
    sys.exit(main())
