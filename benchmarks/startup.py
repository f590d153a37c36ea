"""How long a user waits before anything happens: `--help`, `list`, and the quickstart suite run
again from the cache.

    python benchmarks/startup.py [--rounds 7]

Times are processor seconds of whole processes (`--wall`: seconds that pass), medians with
quartiles, next to a bare `python -c pass` in the same rounds.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time

import numpy as np


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--wall", action="store_true", help="seconds that pass")
    arguments = parser.parse_args()
    clock = processor_seconds
    if arguments.wall:
        clock = time.perf_counter
    with tempfile.TemporaryDirectory() as folder:
        again = ["-m", "bench", "run", "quickstart", "--no-latency", "--quiet", "--out", folder]
        subprocess.run([sys.executable, *again], check=True, capture_output=True)
        commands = {
            "python -c pass": ["-c", "pass"],
            "rerank-bench --help": ["-m", "bench", "--help"],
            "rerank-bench list rerankers": ["-m", "bench", "list", "rerankers"],
            "quickstart again, --no-latency": again,
            "its imports alone": [
                "-c",
                "import bench.runner.loop, bench.cli.main, pandas, pyarrow.parquet, ir_measures, "
                "bm25s, matplotlib.figure",
            ],
        }
        seconds: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(arguments.rounds):
            for name, command in commands.items():
                start = clock()
                subprocess.run([sys.executable, *command], check=True, capture_output=True)
                seconds[name].append(clock() - start)
    for name, values in seconds.items():
        low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
        print(f"{name:<34} {middle:6.3f} s  (quartiles {low:.3f} to {high:.3f})")


def processor_seconds() -> float:
    """Return what the processes that this one has started and seen end took of processors."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()
