"""How often an early verdict is wrong, and how many queries it takes, simulated.

    python benchmarks/gate_sequential.py [--gates 4000] [--effects -1]

Queries are drawn anew for each gate. Rows are margins, as multiples of the smallest one that so
many queries support; columns are true differences, as multiples of the margin. Each cell: what
passes, what fails, the share of the queries that were used; below it what the check over all
queries passes and fails. A loss of the margin itself (-1) may pass 5 times in 100.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from bench.quality import betting
from bench.quality.statistics import TAIL_ALLOWANCE, t_quantile

Draw = Callable[[np.random.Generator, int, float], Any]
EFFECTS = (-4.0, -2.0, -1.0, 0.0, 1.0)


def _all_move(rng: np.random.Generator, n: int, mean: float) -> Any:
    return mean + rng.normal(0, 0.15, n)


def _half_move(rng: np.random.Generator, n: int, mean: float) -> Any:
    return mean + (rng.random(n) < 0.5) * rng.laplace(0, 0.15, n)


def _tenth_moves(rng: np.random.Generator, n: int, mean: float) -> Any:
    return mean + (rng.random(n) < 0.1) * rng.choice([-0.4, 0.4], n)


def _some_lose_half(rng: np.random.Generator, n: int, mean: float) -> Any:
    """A query loses or gains .5, or nothing."""
    return np.sign(mean) * 0.5 * (rng.random(n) < abs(mean) / 0.5)


KINDS: dict[str, tuple[Draw, float]] = {
    "all move, normal": (_all_move, 0.15),
    "half move, Laplace": (_half_move, 0.15),
    "tenth moves by .4": (_tenth_moves, 0.126),
    "few lose .5": (_some_lose_half, 0.1),
}


class Rates(NamedTuple):
    """Shares of the gates, early verdicts first, then those over all queries."""

    passed: float
    failed: float
    used: float
    passed_by_all: float
    failed_by_all: float


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--gates", type=int, default=4_000)
    parser.add_argument("--effects", type=float, nargs="+", default=EFFECTS)
    arguments = parser.parse_args()
    gates, effects = arguments.gates, arguments.effects
    titles = "".join(f"{f'{effect:+g} margins':>26}" for effect in effects)
    print(f"{'differences':<20}{'queries':>8}{'margin':>8}{titles}")
    for name, n, times, margin in cases():
        rates = [simulated(name, n, margin, effect, gates) for effect in effects]
        early = "".join(f"{_cell(rate.passed, rate.failed, rate.used)}" for rate in rates)
        over_all = "".join(_cell(rate.passed_by_all, rate.failed_by_all) for rate in rates)
        print(f"{name:<20}{n:>8}{f'x{times}':>8}{early}", flush=True)
        print(f"{'  all queries':<20}{'':>8}{margin:>8.3f}{over_all}", flush=True)


def cases() -> Iterator[tuple[str, int, int, float]]:
    for name, (_, spread) in KINDS.items():
        for n in (100, 400, 1000):
            supported = TAIL_ALLOWANCE * 2 * t_quantile(0.95, n - 1) * spread / n**0.5
            for times in (1, 2):
                yield name, n, times, times * supported


def simulated(name: str, n: int, margin: float, effect: float, gates: int, seed: int = 0) -> Rates:
    """Return how often the gate passes and fails at a true difference of `effect` margins."""
    draw, _ = KINDS[name]
    rng = np.random.default_rng(seed)
    passed = failed = used = passed_by_all = failed_by_all = 0.0
    for _ in range(gates):
        drawn = np.clip(draw(rng, n, effect * margin), -1, 1)
        outcome_by_all = by_all(drawn, margin)
        early = betting.certain(drawn, n, margin)
        outcome = early.outcome if early else outcome_by_all
        passed += outcome == "pass"
        failed += outcome == "fail"
        used += early.queries / n if early else 1.0
        passed_by_all += outcome_by_all == "pass"
        failed_by_all += outcome_by_all == "fail"
    sums = (passed, failed, used, passed_by_all, failed_by_all)
    return Rates(*(total / gates for total in sums))


def by_all(drawn: Any, margin: float) -> str:
    """Return the verdict over all queries, by Student's t bounds."""
    n = len(drawn)
    reach = t_quantile(0.95, n - 1) * drawn.std(ddof=1) / n**0.5
    if drawn.mean() - reach > -margin:
        return "pass"
    return "fail" if drawn.mean() + reach < -margin else "inconclusive"


def _cell(passed: float, failed: float, used: float | None = None) -> str:
    text = f"{passed:.1%} {failed:.1%}"
    if used is not None:
        text = f"{text} {used:.0%}"
    return f"{text:>26}"


if __name__ == "__main__":
    main()
