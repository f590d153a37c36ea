"""What a score cache of millions of pairs takes: bytes on disk, seconds to open it, memory, and the
time of a look-up.

    python benchmarks/pairs.py [1000000 5000000]

Lists of 50 documents, 20 lists a file, as a run writes them. The cache is opened twice, each time
in a process of its own: the first one merges its files. The file system has its pages in memory.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from bench.contract.request import CandidateList
from bench.machine.fingerprint import peak_rss_bytes
from bench.scoring.cache import ScoreCache
from bench.scoring.pairs import pair_keys

LIST, LISTS = 50, 20
LOOK_UPS = 1000
FINGERPRINT = {"backend": "benchmark"}


def request(number: int) -> CandidateList:
    docs = [f"document {number} {place} {'word ' * 60}" for place in range(LIST)]
    return CandidateList(str(number), f"query {number}", [str(i) for i in range(LIST)], docs)


def fill(folder: Path, pairs: int) -> None:
    """Write a cache of so many pairs, LOOK_UPS lists of them with texts that are known."""
    rng = np.random.default_rng(0)
    cache = ScoreCache(FINGERPRINT, root=folder)
    cache.describe({"backend": "benchmark", "identity": {}, "facts": {}})
    for start in range(0, pairs // LIST, LISTS):
        scores = {f"{number:016x}": rng.random(LIST) for number in range(start, start + LISTS)}
        keys = {}
        for number, key in enumerate(scores, start):
            keys[key] = rng.integers(0, 2**64, size=(LIST, 2), dtype=np.uint64)
            if number < LOOK_UPS:
                known = pair_keys(request(number))
                assert known is not None
                keys[key] = known
        cache.put(scores, {"tokens": 1.0}, pairs=keys)


def memory() -> int:
    """Return the bytes that this process has in memory."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0


def measure(folder: Path) -> dict[str, float]:
    """Open the cache of a folder, and look up lists that it has."""
    requests = [request(number) for number in range(LOOK_UPS)]
    before, start, used = memory(), time.perf_counter(), time.process_time()
    cache = ScoreCache(FINGERPRINT, root=folder, by_pair=True)
    assert cache.by_pair is not None
    table = cache.by_pair.table
    table.find(np.zeros((1, 2), dtype=np.uint64))
    opened, after, processor = time.perf_counter(), memory(), time.process_time() - used
    used = time.process_time()
    for candidates in requests:
        keys = pair_keys(candidates)
        assert keys is not None
        assert table.find(keys).is_complete
    look_up = (time.process_time() - used) / LOOK_UPS
    return {
        "open": opened - start,
        "processor": processor,
        "memory": after - before,
        "peak": (peak_rss_bytes() or before) - before,
        "look-up": look_up,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pairs", type=int, nargs="*", default=[1_000_000, 5_000_000])
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure(arguments.measure)))
        return
    for pairs in arguments.pairs:
        with tempfile.TemporaryDirectory() as folder:
            fill(Path(folder), pairs)
            for time_of_opening in ("first", "again"):
                command = [sys.executable, __file__, "--measure", folder]
                done = subprocess.run(command, capture_output=True, text=True, check=True)
                show(pairs, time_of_opening, Path(folder), json.loads(done.stdout))


def show(pairs: int, time_of_opening: str, folder: Path, figures: dict[str, float]) -> None:
    sizes = []
    for ending in (".npz", ".merged"):
        size = sum(path.stat().st_size for path in folder.rglob(f"*{ending}"))
        sizes.append(f"{size / 2**20:.0f}")
    print(
        f"{pairs:>10,} pairs, {time_of_opening}: {' + '.join(sizes)} MiB on disk, opens in "
        f"{figures['open']:.2f} s ({figures['processor']:.2f} of the processor) with "
        f"{figures['memory'] / 2**20:.0f} MiB of memory (peak {figures['peak'] / 2**20:.0f}), "
        f"{1e3 * figures['look-up']:.2f} ms of the processor per list of {LIST}",
        flush=True,
    )


if __name__ == "__main__":
    main()
