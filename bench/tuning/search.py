"""The search for the best pipeline inside a budget: quality of all from stored scores, a forecast
of their latency from a few timed calls of each stage, timed rounds over the promising ones alone.

Successive halving (Karnin, Koren and Somekh, ICML 2013): each round times what is left on more
queries and keeps the better half, by what fits and then by quality. Two finalists are timed on
queries that decided nothing before.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bench.composition.chain import Chain
from bench.composition.composed import Limits
from bench.composition.times import Forecasts, StageTimes
from bench.latency.columns import needed
from bench.latency.intervals import bootstrapped
from bench.tuning.outcome import Candidate, TimedPipeline
from bench.tuning.stage_bench import StageBench

if TYPE_CHECKING:
    from collections.abc import Mapping

PROBES = 3
"""Queries that each stage is timed on for the forecast."""
ROUNDS = (4, 6, 8)
"""Queries of each round over the promising pipelines."""
BATCH = 8
"""Promising pipelines that begin together."""
SLACK = 1.25
"""A forecast up to this multiple of the budget may be wrong: the pipeline is timed."""
FINALISTS = 2
TURN = 12
"""Queries on which the finalists of one first stage are timed before those of the next."""


@dataclass(frozen=True)
class Probe:
    """What a row is timed on for the forecast: candidates of a first stage, at some depths."""

    row: str
    first: str
    depths: Sequence[int]


@dataclass(frozen=True)
class Queries:
    """The queries of a search, in a seeded order: those that decide, and those that confirm."""

    deciding: Sequence[str]
    confirming: Sequence[str]

    @property
    def probes(self) -> Sequence[str]:
        return self.deciding[:PROBES]

    def rounds(self) -> Iterator[Sequence[str]]:
        """Yield the queries of each round, none of them twice."""
        start = PROBES
        for size in ROUNDS:
            query_ids = self.deciding[start : start + size]
            if query_ids:
                yield query_ids
            start += size

    def confirmations(self) -> Iterator[Sequence[str]]:
        """Yield the queries that confirm, some at a time: pipelines with other first stages take
        turns after each.
        """
        for start in range(0, len(self.confirming), TURN):
            yield self.confirming[start : start + TURN]


def parted(query_ids: Sequence[str], seed: int) -> Queries:
    """Return queries in two parts. As many confirm as a p95 needs, where enough are left to decide;
    else three of four.
    """
    order = random.Random(seed).sample(sorted(query_ids), len(query_ids))
    confirming = needed(0.95)
    if len(order) < confirming + PROBES + ROUNDS[0]:
        confirming = max(1, len(order) * 3 // 4)
    return Queries(order[confirming:] or order, order[:confirming])


@dataclass
class Search:
    """Chooses among candidates, best quality first."""

    stages: StageBench
    limits: Limits
    queries: Queries
    timed: dict[Chain, TimedPipeline] = field(default_factory=dict)
    finalists: list[TimedPipeline] = field(default_factory=list)

    def run(self, candidates: Sequence[Candidate]) -> TimedPipeline | None:
        """Return the best pipeline that keeps to the limits, None where none does."""
        waiting = [candidate for candidate in candidates if self.is_promising(candidate)]
        if not waiting and candidates:
            # so that the nearest can be named
            fastest = min(candidates, key=lambda candidate: candidate.forecast_ms)
            self._halved([fastest])
        while waiting:
            batch, waiting = waiting[:BATCH], waiting[BATCH:]
            ready = self._halved(batch)
            while ready:
                pair, ready = ready[:FINALISTS], ready[FINALISTS:]
                fitting = [each for each in self._confirmed(pair) if self.fits(each)]
                if fitting:
                    self.finalists = sorted(self.finalists, key=_by_quality)
                    return min(fitting, key=_by_quality)
        return None

    def is_promising(self, candidate: Candidate) -> bool:
        """Return whether a candidate is timed, by its forecast and cost."""
        return self.is_affordable(candidate) and candidate.forecast_ms <= SLACK * self._limit_ms

    def is_affordable(self, candidate: Candidate) -> bool:
        """Return whether the cost of a candidate is known to keep to the limit."""
        return self.limits.allow_cost(candidate.usd_per_1000)

    @property
    def _limit_ms(self) -> float:
        limits = [self.limits.p95_ms, self.limits.p50_ms]
        return min((limit for limit in limits if limit is not None), default=math.inf)

    def _halved(self, batch: Sequence[Candidate]) -> list[Candidate]:
        """Return what looks as if it fits after the rounds, best first; in each, the worse half is
        dropped, but never what looks better than two that fit. What was dropped for its quality
        alone comes last: it is asked where the best do not fit after all.
        """
        calls: dict[Chain, list[float]] = {candidate.chain: [] for candidate in batch}
        left = list(batch)
        beaten: list[Candidate] = []
        for number, query_ids in enumerate(self.queries.rounds()):
            chains = [candidate.chain for candidate in left]
            times = self.stages.pipelines(chains, query_ids, f"round {number}")
            for candidate in left:
                for rounds in times[str(candidate.chain)].values():
                    calls[candidate.chain] += rounds
                self.timed[candidate.chain] = _timed(candidate, calls[candidate.chain])
            fitting = [each for each in left if self.fits(self.timed[each.chain])]
            half = max(FINALISTS, math.ceil(len(left) / 2))
            left = fitting[:half]
            beaten = [*fitting[half:], *beaten]
            if not left:
                break
        return [*left, *beaten]

    def _confirmed(self, candidates: Sequence[Candidate]) -> list[TimedPipeline]:
        """Return the candidates timed on queries that decided nothing before."""
        chains = [candidate.chain for candidate in candidates]
        by_chain: dict[Chain, list[float]] = {chain: [] for chain in chains}
        for number, query_ids in enumerate(self.queries.confirmations()):
            times = self.stages.pipelines(chains, query_ids, f"confirmation {number}")
            for chain in chains:
                for rounds in times[str(chain)].values():
                    by_chain[chain] += rounds
        pipelines: list[TimedPipeline] = []
        for candidate in candidates:
            calls = by_chain[candidate.chain]
            pipeline = _timed(candidate, calls, is_confirmed=True)
            self.timed[candidate.chain] = pipeline
            pipelines.append(pipeline)
        self.finalists += pipelines
        return pipelines

    def fits(self, pipeline: TimedPipeline) -> bool:
        """Return whether the times of a pipeline keep to the limits."""
        return self.limits.allow_times(pipeline.p50_ms, pipeline.p95_ms)


def _timed(
    candidate: Candidate, calls: Sequence[float], *, is_confirmed: bool = False
) -> TimedPipeline:
    """Return what calls of a pipeline say, one per query; without any, as where each failed, it
    takes for ever.
    """
    import numpy as np

    if not calls:
        return TimedPipeline(candidate, math.inf, math.inf, 0, is_confirmed)
    values = np.asarray(calls, dtype=np.float64)
    p50_ms, p95_ms = np.quantile(values, [0.5, 0.95])
    p50_range: tuple[float, float] | None = None
    if is_confirmed:
        p50_range = bootstrapped(values[:, None], [0.5], 0)[0]
    return TimedPipeline(
        candidate, float(p50_ms), float(p95_ms), len(calls), is_confirmed, p50_range
    )


def _by_quality(pipeline: TimedPipeline) -> tuple[float, float]:
    return -pipeline.candidate.quality, pipeline.p95_ms


def probed(
    stages: StageBench, rows: Sequence[Probe], searches: Mapping[str, int], queries: Queries
) -> Forecasts:
    """Return forecasts from a few calls of each row and of each first stage: `searches` are these
    with their depths. A call that failed counts as the slowest of the row, so that rows which
    answer different queries have a forecast together; a row without any has none.
    """
    by_depth: dict[str, dict[int, Mapping[str, list[float]]]] = {}
    for first in dict.fromkeys(probe.first for probe in rows):
        own = [probe for probe in rows if probe.first == first]
        depths: set[int] = set()
        for probe in own:
            depths |= set(probe.depths)
        for depth in sorted(depths):
            names = [probe.row for probe in own if depth in probe.depths]
            times = stages.rows(dict.fromkeys(names, depth), queries.probes, first)
            for name in names:
                by_depth.setdefault(name, {})[depth] = _filled(times[name], queries.probes)
    timed: dict[str, StageTimes] = {}
    for name, depth in searches.items():
        chain = Chain(name, depth)
        calls = _filled(
            stages.pipelines([chain], queries.probes, "search")[str(chain)], queries.probes
        )
        if calls:
            timed[name] = StageTimes(name, {depth: calls})
    usable = {row: times for row, times in by_depth.items() if all(times.values())}
    return Forecasts(
        {row: StageTimes(row, times, longest=max(times)) for row, times in usable.items()}, timed
    )


def _filled(
    calls: Mapping[str, list[float]], query_ids: Sequence[str]
) -> Mapping[str, list[float]]:
    """Return calls with the slowest one in place of each that failed; none where all did."""
    if not calls:
        return {}
    slowest = [max(times[0] for times in calls.values())]
    return {query_id: calls.get(query_id, slowest) for query_id in query_ids}
