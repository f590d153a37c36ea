"""Kill a process that embeds a collection at random moments, many times, and look at what it left:
at most one chunk per kill is encoded again, and the store is that of a process nobody disturbed.

    python scripts/kill_embedding.py              20 kills
    python scripts/kill_embedding.py --kills 100 --seed 3

The encoder hashes texts and waits a little, so that the kills fall on the writing too. It notes
every chunk that it begins; nothing else of the way from the collection to the store is replaced.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS, CHUNK, DIMENSIONS = 600, 32, 64
SECONDS_PER_CHUNK = 0.02


def embed(folder: Path) -> None:
    """Embed the collection of a folder into its cache, noting each chunk that is encoded."""
    import hashlib

    import numpy as np

    from bench import datasets
    from bench.core.progress import Observer
    from bench.retrieval.dense_index import DenseBlock, join
    from bench.retrieval.vectors import Embedding

    dataset = datasets.load(f"files:{folder / 'collection'}", {}, folder)

    def encode(texts: Sequence[str]) -> tuple[DenseBlock, int]:
        with (folder / "begun.txt").open("a", encoding="utf-8") as file:
            file.write(f"{len(texts)}\n")
        time.sleep(SECONDS_PER_CHUNK)
        digests = [hashlib.shake_128(text.encode()).digest(DIMENSIONS) for text in texts]
        rows = np.frombuffer(b"".join(digests), dtype=np.uint8).reshape(len(texts), DIMENSIONS)
        return DenseBlock.of((rows / 255).astype(np.float32)), 0

    embedding = Embedding(dataset, encode, join, "encoding", Observer(), CHUNK)
    embedding.store(folder / "vectors")


def write_collection(folder: Path) -> None:
    folder.mkdir()
    docs = [{"doc_id": f"d{i}", "text": f"text number {i}"} for i in range(DOCUMENTS)]
    (folder / "docs.jsonl").write_text("".join(json.dumps(doc) + "\n" for doc in docs))
    (folder / "queries.tsv").write_text("q\ttext\n")
    (folder / "qrels.txt").write_text("q 0 d0 1\n")


def start(folder: Path) -> subprocess.Popen[bytes]:
    """Start a process that embeds the collection of a folder."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, __file__, "--embed", str(folder)]
    return subprocess.Popen(command, env=environment, cwd=folder)


def chunks_begun(folder: Path) -> int:
    path = folder / "begun.txt"
    if not path.is_file():
        return 0
    return len(path.read_text(encoding="utf-8").splitlines())


def kill_often(kills: int, seed: int, folder: Path) -> Counter[str]:
    """Return how many kills there were, how many chunks were encoded more than once, and how many
    stores differ from that of a process that nobody disturbed.
    """
    draw = random.Random(seed)
    calm = folder / "calm"
    calm.mkdir()
    write_collection(calm / "collection")
    begin = time.monotonic()
    if start(calm).wait(120):
        raise SystemExit("the process that nobody disturbed failed")
    seconds = time.monotonic() - begin
    chunks = chunks_begun(calm)
    findings: Counter[str] = Counter()
    while findings["kills"] < kills:
        findings["stores"] += 1
        place = folder / f"killed-{findings['stores']}"
        place.mkdir()
        write_collection(place / "collection")
        killed = 0
        while findings["kills"] < kills:
            process = start(place)
            _wait(process, place, draw, seconds)
            if process.poll() is not None:
                break
            process.kill()
            process.wait()
            findings["kills"] += 1
            killed += 1
        findings["failed"] += start(place).wait(120) != 0
        again = chunks_begun(place) - chunks
        findings["chunks encoded again"] += again
        findings["more than one per kill"] += again > killed
        findings["stores that differ"] += _store(place) != _store(calm)
    return findings


def _wait(
    process: subprocess.Popen[bytes], folder: Path, draw: random.Random, seconds: float
) -> None:
    """Some kills come anywhere from the start on, the others after the next chunks have begun."""
    if draw.random() < 0.25:
        time.sleep(draw.uniform(0, seconds))
        return
    goal = chunks_begun(folder) + draw.randint(1, 3)
    end = time.monotonic() + 10 * seconds
    while chunks_begun(folder) < goal and process.poll() is None and time.monotonic() < end:
        time.sleep(0.001)
    time.sleep(draw.uniform(0, 2 * SECONDS_PER_CHUNK))


def _store(folder: Path) -> dict[str, bytes]:
    """Return the files of a finished store but for its times and what holds them."""
    store = folder / "vectors" / "store"
    names = ("vectors.npy", "rows.npy", "doc_ids.json")
    return {name: (store / name).read_bytes() for name in names}


def is_sound(findings: Counter[str]) -> bool:
    """Whether each kill cost at most one chunk and no store differs."""
    names = ("failed", "more than one per kill", "stores that differ")
    return all(findings[name] == 0 for name in names)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=20)
    parser.add_argument("--embed", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    if options.embed:
        embed(options.embed)
        return
    with tempfile.TemporaryDirectory() as folder:
        findings = kill_often(options.kills, options.seed, Path(folder))
    print(json.dumps(findings, indent=1))
    sys.exit(not is_sound(findings))


if __name__ == "__main__":
    main()
