"""The A/A ratio of this machine: one reranker against itself, interleaved query by query as two
rerankers of a run are.

    python benchmarks/noise.py [--processes 3] [--queries 20]

The same measurement as `rerank-bench noise`, without keeping it. On a quiet machine the ratio and
its interval lie within 3 % of 1; this script says so or not, and what disturbed it.
"""

from __future__ import annotations

import argparse

from bench.core.wording import sentences
from bench.runner.noise import measure
from bench.suite.suite import load

QUIET = 0.03


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--suite", default="quickstart")
    parser.add_argument("--processes", type=int, default=3)
    parser.add_argument("--queries", type=int, default=20)
    arguments = parser.parse_args()
    noise = measure(
        load(arguments.suite), processes=arguments.processes, queries=arguments.queries
    ).noise
    each = ", ".join(f"{ratio:.4f}" for ratio in noise.processes)
    within = "within"
    if noise.floor > QUIET:
        within = "not within"
    print(
        f"A/A ratio of {noise.reranker}, {noise.depth} candidates: {noise.ratio:.4f} "
        f"[{noise.low:.4f}, {noise.high:.4f}]; processes {each}"
    )
    print(
        f"noise floor {noise.floor:.1%}, {within} {QUIET:.0%}; "
        f"{'; '.join(sentences(noise.disturbances)) or 'not disturbed'}"
    )


if __name__ == "__main__":
    main()
