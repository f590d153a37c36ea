"""`offline`: whole queries pooled into one call of many pairs: pairs per second."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from bench.contract.request import CandidateList
from bench.core.note import Code, Note, note
from bench.core.options import option
from bench.latency import intervals
from bench.latency.columns import ENERGY, MEAN, P50, PAIRS_PER_S, Interval
from bench.latency.common_plan import CommonPlan
from bench.latency.energy import joules_per_1000_pairs
from bench.latency.lane import Lane
from bench.latency.sample import Facts, Timing
from bench.latency.scenarios.base import Moment, Place, Scenario, ScenarioOptions, Turn

if TYPE_CHECKING:
    import pandas as pd


class OfflineOptions(ScenarioOptions):
    offline_pairs: int = option(
        1000, decides="speed", ge=1, description="pairs pooled in one offline call, at most"
    )


class Offline(Scenario[OfflineOptions]):
    """One call per round over the same pairs; then the energy that such calls take."""

    Options = OfflineOptions
    place = Place.HERE
    question = "how long does a million pairs take?"
    meaning = "all pairs of the sample in one call"
    throughput = True
    columns = (PAIRS_PER_S, ENERGY)
    details = (P50, MEAN, PAIRS_PER_S)

    def __init__(self, name: str, options: OfflineOptions, lane: Lane) -> None:
        super().__init__(name, options, lane)
        self.pooled: list[CandidateList] = []
        self.is_cut = False
        self.joules: float | None = None

    @classmethod
    def turns(cls, options: OfflineOptions, plan: CommonPlan, queries: int) -> Iterator[Turn]:
        yield from cls.round_by_round(cls.time_pool, plan.rounds)
        yield Turn(Moment.AFTER_ROUNDS, 0, cls.time_energy, calls=0)

    def time_pool(self, round_: int) -> None:
        """Time as many pairs as the options pool, or as the time limit allows at the speed seen so
        far; the same ones in every round.
        """
        if self.is_over():
            return
        self.pooled = self.pooled or self._affordable_pool()
        nanoseconds = self.lane.call(self.pooled)
        if nanoseconds is not None:
            self.seconds += nanoseconds / 1e9
            pairs = sum(len(request.doc_ids) for request in self.pooled)
            self.lane.keep_pooled(self.name, round_, pairs, nanoseconds)

    def time_energy(self) -> None:
        """Measure the energy of the same pairs."""
        self.joules = joules_per_1000_pairs(self.lane.caller, self.pooled)

    def facts(self) -> Facts:
        return {ENERGY.key: self.joules}

    def notes(self) -> list[Note]:
        if not (self.out_of_time or self.is_cut):
            return []
        pairs = sum(len(request.docs) for request in self.pooled)
        return [note(Code.PAIRS_OUT_OF_TIME, pairs)]

    def _affordable_pool(self) -> list[CandidateList]:
        """Return the pool, or the part of it for which one round's share of the time limit suffices
        at the median speed so far.
        """
        planned = pool(self.lane.sample, self.options.offline_pairs)
        speeds = [sample.nanoseconds / sample.pairs for sample in self.lane.samples]
        if not speeds:
            return planned
        plan = self.lane.plan
        pairs = int(plan.time_limit_s * 1e9 / plan.rounds / statistics.median(speeds))
        affordable = pool(planned, pairs)
        self.is_cut = len(affordable) < len(planned)
        return affordable

    @classmethod
    def measure(cls, rows: pd.DataFrame, seed: int) -> dict[str, Interval]:
        """Return the times of whole calls, and pairs per second with its range over rounds."""
        return {**super().measure(rows, seed), PAIRS_PER_S.key: intervals.throughput(rows)}

    @classmethod
    def clusters(cls, rows: pd.DataFrame) -> pd.Series:
        """Return the same for every row: each round times the same pairs."""
        return rows["query"].isna()

    @classmethod
    def recorded(cls, timing: Timing) -> dict[str, float | None]:
        return {ENERGY.key: timing.get(ENERGY.key)}

    @classmethod
    def count(cls, queries: int, samples: int) -> str:
        return ""


def pool(sample: Sequence[CandidateList], pairs: int) -> list[CandidateList]:
    """Return as many whole requests as fit into this many pairs, and at least one."""
    pooled: list[CandidateList] = []
    size = 0
    for request in sample:
        if pooled and size + len(request.docs) > pairs:
            break
        pooled.append(request)
        size += len(request.docs)
    return pooled
