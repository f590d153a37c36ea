"""What a search for the best pipeline comes to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.comparison import budgets
from bench.composition.chain import Chain
from bench.composition.composed import Limits, Tuning
from bench.core.note import Note
from bench.latency.columns import needed
from bench.quality.statistics import Difference, Estimate
from bench.records.run import Run


@dataclass(frozen=True)
class Candidate:
    """A pipeline that the stored scores allow: its quality per query, what it costs per 1,000
    queries, and forecasts of its slowest call and its median. `tuning` is that of a blend whose
    share was learned: no query's value is by a share that was learned on it.
    """

    chain: Chain
    quality: float
    values: Sequence[float]
    usd_per_1000: float | None
    forecast_ms: float
    forecast_p50_ms: float
    tuning: Tuning | None = None
    seen: tuple[str, ...] = ()
    """The families of the collection that a model of it was trained on."""


@dataclass(frozen=True)
class TimedPipeline:
    """A pipeline that was timed end to end. `queries` are the distinct ones: below 59, `p95_ms` is
    a provisional estimate, by which pipelines are dropped. Without any, each call failed.
    """

    candidate: Candidate
    p50_ms: float
    p95_ms: float
    queries: int
    is_confirmed: bool = False
    """Whether it was timed on queries that decided nothing before."""
    p50_range: tuple[float, float] | None = None
    """The 95 % interval of the median over queries, of one that was confirmed."""

    @property
    def chain(self) -> Chain:
        return self.candidate.chain

    @property
    def is_as_forecast(self) -> bool | None:
        """Whether the forecast of the median lies within the interval of the timed one; None where
        there is no interval.
        """
        if self.p50_range is None:
            return None
        low, high = self.p50_range
        return low <= self.candidate.forecast_p50_ms <= high

    @property
    def is_p95_known(self) -> bool:
        return self.queries >= needed(0.95)


@dataclass(frozen=True)
class Outcome:
    """The answer of a search. `winner` has the highest quality of what keeps to the limits, and
    `runner_up` the next one; `nearest` is what comes nearest where nothing does. `pipelines` is the
    number of all that could be composed and forecast; of those, `too_slow` were not timed for their
    forecast, `too_dear` for their cost, and `beaten` since better ones fit. `left_out` are the
    other pipelines and rows, with the reason. `calls` were timed, warm-ups among them.
    """

    dataset: str
    measure: str
    limits: Limits
    winner: TimedPipeline | None
    runner_up: TimedPipeline | None
    nearest: TimedPipeline | None
    difference: Difference | None
    estimate: Estimate | None
    timed: Sequence[TimedPipeline]
    too_slow: int
    too_dear: int
    left_out: Sequence[tuple[str, str]]
    calls: int
    device: str = "cpu"
    other_devices: Sequence[str] = ()
    """Devices of the suite on which nothing was timed."""
    run: Run | None = None
    """The run that scored the suite's rows."""
    candidates: Sequence[Candidate] = ()
    """All that could be composed and forecast."""
    reused: int = 0
    """Timings of an earlier call of the same search, which were not taken again."""
    disturbances: Sequence[Note] = ()
    """What else the machine did while the timings were taken."""

    def timed_as(self, chain: Chain) -> TimedPipeline | None:
        """Return what was timed of a pipeline."""
        return next((each for each in self.timed if each.chain == chain), None)

    @property
    def pipelines(self) -> int:
        return len(self.candidates)

    @property
    def beyond(self) -> int:
        return self.too_slow + self.too_dear

    @property
    def beaten(self) -> int:
        return self.pipelines - self.beyond - len(self.timed)

    @property
    def verdict(self) -> budgets.Outcome:
        if self.winner is None:
            return "nothing fits"
        if self.limits.p95_ms is not None and not self.winner.is_p95_known:
            return "withheld"
        return "fits"
