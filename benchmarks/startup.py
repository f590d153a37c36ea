"""How long a user waits before anything happens: `--help`, `list`, and the quickstart suite run
again from the cache.

    python benchmarks/startup.py [--rounds 7]

Times are wall seconds of whole processes, medians with quartiles, next to a bare `python -c pass`
in the same rounds.
"""

from __future__ import annotations

import argparse
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
    rounds = parser.parse_args().rounds
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
        for _ in range(rounds):
            for name, arguments in commands.items():
                start = time.perf_counter()
                subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
                seconds[name].append(time.perf_counter() - start)
    for name, values in seconds.items():
        low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
        print(f"{name:<34} {middle:6.3f} s  (quartiles {low:.3f} to {high:.3f})")


if __name__ == "__main__":
    main()
