"""How often the quality gate is wrong, simulated: an unchanged reranker, a loss of just the margin,
a drop of twice the margin.

    python benchmarks/gate_power.py [--gates 20000]

The margin is the smallest one that so many queries support
(`bench.quality.statistics.smallest_margin`), from the true spread of the differences. Columns: what
passes of the unchanged, what passes of a loss of the margin (at most 5 %), what fails of a drop of
twice the margin; the same for the bounds of a percentile bootstrap, which the gate does not use.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import numpy as np

from bench.quality.statistics import TAIL_ALLOWANCE, t_quantile

Draw = Callable[[np.random.Generator, int, int], Any]
KINDS: dict[str, tuple[Draw, float]] = {
    "all move, normal": (lambda rng, gates, n: rng.normal(0, 1, (gates, n)), 1.0),
    "half move, Laplace": (
        lambda rng, gates, n: (rng.random((gates, n)) < 0.5) * rng.laplace(0, 1, (gates, n)),
        1.0,
    ),
    "fifth moves, Laplace": (
        lambda rng, gates, n: (rng.random((gates, n)) < 0.2) * rng.laplace(0, 1, (gates, n)),
        0.4**0.5,
    ),
    "third moves, uniform": (
        lambda rng, gates, n: (rng.random((gates, n)) < 0.3) * rng.uniform(-1, 1, (gates, n)),
        0.1**0.5,
    ),
    "tenth loses, skewed": (
        lambda rng, gates, n: 0.1 - (rng.random((gates, n)) < 0.1) * rng.exponential(1, (gates, n)),
        0.19**0.5,
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--gates", type=int, default=20_000)
    gates = parser.parse_args().gates
    print(
        f"{'differences':<22} {'queries':>7}   Student's t: unchanged, margin, drop    "
        "percentile bootstrap: the same"
    )
    for name, (draw, spread) in KINDS.items():
        for n in (20, 49, 80, 200, 500):
            drawn = draw(np.random.default_rng(n), gates, n)
            margin = TAIL_ALLOWANCE * 2 * t_quantile(0.95, n - 1) * spread / n**0.5
            rows = [shares(*bounds(drawn), margin) for bounds in (student, bootstrap)]
            cells = ["  ".join(f"{share:6.1%}" for share in row) for row in rows]
            print(f"{name:<22} {n:>7}   {cells[0]:<40} {cells[1]}")


def shares(low: Any, high: Any, margin: float) -> tuple[float, float, float]:
    """(unchanged passes, loss of the margin passes, drop of twice the margin fails); a shift moves
    both bounds with it.
    """
    return (
        float((low > -margin).mean()),
        float((low - margin > -margin).mean()),
        float((high - 2 * margin < -margin).mean()),
    )


def student(drawn: Any) -> tuple[Any, Any]:
    n = drawn.shape[1]
    reach = t_quantile(0.95, n - 1) * drawn.std(axis=1, ddof=1) / n**0.5
    return drawn.mean(axis=1) - reach, drawn.mean(axis=1) + reach


def bootstrap(drawn: Any, resamples: int = 1000) -> tuple[Any, Any]:
    """All gates resampled alike, as one seed does."""
    n = drawn.shape[1]
    weights = np.random.default_rng(0).multinomial(n, np.full(n, 1 / n), size=resamples) / n
    parts = [
        np.quantile(block @ weights.T, [0.05, 0.95], axis=1)
        for block in np.array_split(drawn, max(1, len(drawn) // 2000))
    ]
    low, high = np.concatenate(parts, axis=1)
    return low, high


if __name__ == "__main__":
    main()
