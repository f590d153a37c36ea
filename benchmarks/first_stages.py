"""What first stages take over a collection of made documents: building, bytes, the latency of a
query, memory, next to the libraries alone.

    python benchmarks/first_stages.py [--documents 100000] [--dimensions 384] [--queries 40]

Documents are words drawn by Zipf's law. Encoding that many would take hours on a CPU, so that a
fast encoder stands in: vectors drawn at random by the text's digest, all of whose way to the store
is the harness's own. A first stage's search is timed in turn with the library's own search of the
same index (bm25s; faiss's flat index over the same vectors in float32), and that of vectors with
the bare product and choice in numpy too. One query at a time, on one thread, without the encoding
of the query; times are of the processor, so that they hold on a machine that others use. Each part
runs in a process of its own, whose peak memory is printed. Ratios are medians of paired ones, with
quartiles.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench import retrieval
from bench.contract.candidates import Source
from bench.datasets.base import Dataset
from bench.datasets.memory import MemoryDocuments
from bench.machine.fingerprint import peak_rss_bytes

DEPTH = 100
WORDS = 50_000
WARMUPS = 3
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
PARTS = ("bm25", "dense", "memory of faiss", "memory of bm25s")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--documents", type=int, default=100_000)
    parser.add_argument("--dimensions", type=int, default=384)
    parser.add_argument("--queries", type=int, default=40)
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.part:
        print(json.dumps(RUN[arguments.part](arguments)))
        return
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "RERANK_BENCH_CACHE": folder, **ONE_THREAD}
        for part in PARTS:
            command = [sys.executable, __file__, "--part", part]
            for name in ("documents", "dimensions", "queries"):
                command += [f"--{name}", str(getattr(arguments, name))]
            done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE)
            print(f"{part}: {done.stdout.decode().strip()}", flush=True)


def collection(documents: int, queries: int) -> Dataset:
    """Return a collection of texts of some 60 words, and queries of 4."""
    rng = np.random.default_rng(7)
    ranks = np.minimum(rng.zipf(1.3, documents * 60), WORDS)
    words = [f"w{rank}" for rank in ranks.tolist()]
    texts = {
        f"d{number:07d}": " ".join(words[60 * number : 60 * number + 60])
        for number in range(documents)
    }
    texts_of_queries = {}
    for number in range(queries):
        drawn = rng.integers(20, 2000, 4).tolist()
        texts_of_queries[f"q{number}"] = " ".join(f"w{rank}" for rank in drawn)
    docs = {doc_id: {"text": text} for doc_id, text in texts.items()}
    identity = {"id": "made", "corpus_hash": f"made-{documents}"}
    return Dataset("made", MemoryDocuments(docs), texts_of_queries, {}, identity, template="{text}")


def vectors_of(texts: Sequence[str], dimensions: int) -> np.ndarray:
    """Return a unit vector per text, drawn by its digest."""
    rows = np.empty((len(texts), dimensions), dtype=np.float32)
    for number, text in enumerate(texts):
        seed = int.from_bytes(text.encode()[-8:], "little") ^ hash_of(text)
        rows[number] = np.random.default_rng(seed).standard_normal(dimensions, dtype=np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows


def hash_of(text: str) -> int:
    import zlib

    return zlib.crc32(text.encode())


def of_bm25(arguments: argparse.Namespace) -> dict[str, Any]:
    """Build and search BM25, in turn with bm25s's own search of the same index."""
    dataset = collection(arguments.documents, arguments.queries)
    stage: Any = retrieval.build("bm25", {"stemmer": None, "stopwords": None}, Path())
    begin = time.process_time()
    stage.load(dataset)
    cpu_s = time.process_time() - begin
    built = stage.retrieve(dataset, list(dataset.queries)[:1], DEPTH).built
    opened = stage.index_of(dataset)

    def alone(query_id: str) -> object:
        tokens = [opened.analyzer.tokens(dataset.queries[query_id])]
        return opened.index.scorer.retrieve(
            tokens, k=DEPTH, show_progress=False, n_threads=0, leave_progress=False
        )

    return {
        "build_cpu_s": round(cpu_s, 2),
        **facts(built),
        **compared(dataset, harness=lambda name: stage.search(dataset, name, DEPTH), bm25s=alone),
    }


def of_dense(arguments: argparse.Namespace) -> dict[str, Any]:
    """Build and search vectors, in turn with faiss's flat index over the same ones."""
    import faiss

    from bench.retrieval.dense_index import VECTORS

    dataset = collection(arguments.documents, arguments.queries)
    stage = made_dense(arguments.dimensions)
    begin = time.process_time()
    stage.load(dataset)
    cpu_s = time.process_time() - begin
    opened = stage._open(dataset)
    # before the other sides take memory of their own
    built = {"build_cpu_s": round(cpu_s, 2), **facts(opened.built)}
    flat = faiss.IndexFlatIP(arguments.dimensions)
    flat.add(np.asarray(opened.store.array(VECTORS), dtype=np.float32))
    queries = {
        name: vectors_of([text], arguments.dimensions) for name, text in dataset.queries.items()
    }
    vectors = np.asarray(opened.store.array(VECTORS), dtype=np.float32)

    def bare(name: str) -> object:
        scores = np.einsum("ij,j->i", vectors, queries[name][0])
        best = np.argpartition(scores, -DEPTH)[-DEPTH:]
        return best[np.argsort(-scores[best])]

    numbers = compared(
        dataset,
        harness=lambda name: opened.searcher.search(queries[name], DEPTH),
        numpy=bare,
        faiss=lambda name: flat.search(queries[name], DEPTH),
    )
    ours = opened.searcher.search(queries["q0"], DEPTH)[0].doc_ids
    _, rows = flat.search(queries["q0"], DEPTH)
    theirs = {f"d{row:07d}" for row in rows[0].tolist()}
    return {**built, **numbers, "documents in both": len(theirs & set(ours))}


def made_dense(dimensions: int) -> Any:
    """Return the dense first stage with the encoder that stands in."""
    from bench.models.text_encoder import Encoded
    from bench.retrieval.dense import Dense
    from bench.retrieval.encoded_options import DenseOptions

    class StandIn:
        def documents(self, texts: Sequence[str]) -> Encoded:
            return Encoded(vectors_of(texts, dimensions), list(range(len(texts))), frozenset())

        queries = documents

    class Made(Dense):
        def _encoder(self) -> Any:
            return StandIn()

        def _source(self, dataset: Dataset) -> Source:
            corpus = dataset.identity["corpus_hash"]
            return {"first_stage": "made", "dimensions": dimensions, "corpus_hash": corpus}

    return Made(DenseOptions(model="tiny:bert-bi-encoder"), Path())


def memory_of_faiss(arguments: argparse.Namespace) -> dict[str, Any]:
    """Hold faiss's flat index over as many vectors, and search it."""
    import faiss

    flat = faiss.IndexFlatIP(arguments.dimensions)
    rng = np.random.default_rng(0)
    for start in range(0, arguments.documents, 10_000):
        size = min(10_000, arguments.documents - start)
        flat.add(rng.standard_normal((size, arguments.dimensions), dtype=np.float32))
    flat.search(np.ones((1, arguments.dimensions), dtype=np.float32), DEPTH)
    return {"peak_mib": peak_mib()}


def memory_of_bm25s(arguments: argparse.Namespace) -> dict[str, Any]:
    """Build bm25s's index of the same texts, alone."""
    import bm25s

    dataset = collection(arguments.documents, arguments.queries)
    begin = time.process_time()
    texts = [fields["text"] for _, fields in dataset.documents]
    tokens = bm25s.tokenize(texts, stopwords=None, show_progress=False)
    scorer = bm25s.BM25(k1=0.9, b=0.4)
    scorer.index(tokens, show_progress=False)
    return {"build_cpu_s": round(time.process_time() - begin, 2), "peak_mib": peak_mib()}


def facts(built: Any) -> dict[str, Any]:
    return {
        "build_s": round(built.seconds, 2),
        "entries": built.entries,
        "mib": round(built.bytes / 2**20, 1),
        "bytes_per_document": round(built.bytes_per_document),
        "peak_mib": peak_mib(),
    }


def peak_mib() -> int:
    return (peak_rss_bytes() or 0) // 2**20


def compared(dataset: Dataset, **sides: Callable[[str], object]) -> dict[str, Any]:
    """Return medians in milliseconds of each side, and the paired ratios of the first to each of
    the others: A B C, C B A, query by query.
    """
    times: dict[str, list[float]] = {name: [] for name in sides}
    query_ids = list(dataset.queries)
    for turn, query_id in enumerate([*query_ids[:WARMUPS], *query_ids]):
        names = list(sides)
        if turn % 2:
            names.reverse()
        for name in names:
            times[name].append(timed(sides[name], query_id))
    milliseconds = {name: 1e3 * np.array(values[WARMUPS:]) for name, values in times.items()}
    first, *others = milliseconds
    numbers: dict[str, Any] = {
        f"{name}_p50_ms": round(float(np.median(values)), 3)
        for name, values in milliseconds.items()
    }
    for name in others:
        quartiles = np.quantile(milliseconds[first] / milliseconds[name], [0.25, 0.5, 0.75])
        numbers[f"{first}/{name}"] = [round(float(value), 3) for value in quartiles]
    return numbers


def timed(search: Callable[[str], object], query_id: str) -> float:
    """Return seconds of the processor, the least of three: what else the machine does, and what it
    leaves in the caches, is not the search's.
    """
    seconds: list[float] = []
    for _ in range(3):
        begin = time.process_time()
        search(query_id)
        seconds.append(time.process_time() - begin)
    return min(seconds)


RUN = {
    "bm25": of_bm25,
    "dense": of_dense,
    "memory of faiss": memory_of_faiss,
    "memory of bm25s": memory_of_bm25s,
}


if __name__ == "__main__":
    main()
