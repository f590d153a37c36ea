"""What is known of composed pipelines: quality, a forecast of latency, cost, and which of them no
other beats.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bench.composition.chain import Chain
from bench.composition.times import Forecast
from bench.core.errors import BenchError
from bench.latency.columns import Interval
from bench.quality.statistics import Estimate

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Values = NDArray[np.float64]


@dataclass(frozen=True)
class Limits:
    """What a query may take and cost: milliseconds in 95 of 100 cases, or in the median, and
    dollars per 1,000 queries. None for no limit. Raises BenchError for what is no such number.
    """

    p95_ms: float | None = None
    p50_ms: float | None = None
    usd_per_1000: float | None = None

    def __post_init__(self) -> None:
        times = [limit for limit in (self.p95_ms, self.p50_ms) if limit is not None]
        dollars = 0.0 if self.usd_per_1000 is None else self.usd_per_1000
        are_times = all(math.isfinite(limit) and limit > 0 for limit in times)
        if not are_times or not (math.isfinite(dollars) and dollars >= 0):
            raise BenchError(
                f"{self}: a limit is a number of milliseconds above 0, or of dollars from 0 on"
            )

    @property
    def any(self) -> bool:
        return self != Limits()

    def __str__(self) -> str:
        limits = {"p95": self.p95_ms, "p50": self.p50_ms}
        parts = [f"{name} ≤ {limit:g} ms" for name, limit in limits.items() if limit is not None]
        if self.usd_per_1000 is not None:
            parts.append(f"${self.usd_per_1000:g} per 1,000 queries")
        return ", ".join(parts)

    def fit(self, pipeline: ComposedPipeline) -> bool:
        """Return whether a pipeline is expected to keep to the limits: what is not known does
        not.
        """
        if not self.allow_cost(pipeline.usd_per_1000):
            return False
        if pipeline.latency is None or pipeline.is_untimed_search:
            return self.allow_times(None, None)
        return self.allow_times(pipeline.latency.p50_ms, pipeline.latency.p95_ms)

    def allow_times(self, p50_ms: float | None, p95_ms: float | None) -> bool:
        """Return whether times keep to the limits: one that is not known does not."""
        return _within(p50_ms, self.p50_ms) and _within(p95_ms, self.p95_ms)

    def allow_cost(self, usd_per_1000: float | None) -> bool:
        """Return whether a cost keeps to the limit: one that is not known does not."""
        return _within(usd_per_1000, self.usd_per_1000)


def _within(value: float | None, limit: float | None) -> bool:
    return limit is None or (value is not None and value <= limit)


@dataclass(frozen=True)
class Tuning:
    """How weights were chosen: each half of the queries has those that were best on the other half.
    `shares` are the shares of the row in the halves' blends; `queries` those of each half, and
    `half_of` the half of each query.
    """

    shares: tuple[float, float]
    queries: tuple[int, int]
    half_of: tuple[int, ...] = ()


@dataclass(frozen=True, repr=False)
class ComposedPipeline:
    """A pipeline whose values come from stored scores. `values` are by measure, one per query;
    `quality` is the mean of the headline measure. `pairs` are documents scored per query, at most.
    """

    chain: Chain
    values: dict[str, Values]
    quality: float
    latency: Forecast | None
    usd_per_1000: float | None
    pairs: int
    tuning: Tuning | None = None
    on_front: bool = False
    estimate: Estimate | None = None
    """The mean with its interval, of those on the front."""
    timed: Interval | None = None
    """The median of one that the run timed itself, end to end."""
    intervals: tuple[Interval, Interval] | None = None
    """p50 and p95 with theirs, of those on the front whose stages were timed at several depths."""
    seen: tuple[str, ...] = ()
    """The families of the collection that a model of it was trained on."""
    line: str = ""
    """How it is named where its weights are those of the halves of the queries: `chain`, which its
    times and price are of, has others."""

    @property
    def is_untimed_search(self) -> bool:
        """Whether it is a search alone of which no time is known: the sum of its times is empty."""
        return not self.pairs and self.latency is not None and self.latency.without_search

    @property
    def is_as_forecast(self) -> bool | None:
        """Whether the forecast of the median lies within the interval of the timed one; None where
        one of them is not known.
        """
        if self.timed is None or self.latency is None:
            return None
        if self.timed.low is None or self.timed.high is None:
            return None
        return self.timed.low <= self.latency.p50_ms <= self.timed.high

    @property
    def name(self) -> str:
        """The pipeline as a line names it, which `--pipeline` reads."""
        return self.line or str(self.chain)

    def __repr__(self) -> str:
        return f"<{self.name}: {self.quality:.4f}>"


@dataclass(frozen=True, repr=False)
class Composition:
    """The composed pipelines of one dataset, best first. `left_out` are pipelines and rows that
    could not be composed, with the reason; `beyond` is the number of those outside the limits.
    """

    dataset: str
    measure: str
    queries: int
    pipelines: tuple[ComposedPipeline, ...]
    limits: Limits = field(default_factory=Limits)
    left_out: tuple[tuple[str, str], ...] = ()
    beyond: int = 0
    untimed: tuple[str, ...] = ()
    """Rows without a time."""
    unsearched: tuple[str, ...] = ()
    """First stages without a time."""

    @property
    def front(self) -> tuple[ComposedPipeline, ...]:
        """The pipelines that no other beats in quality, time and cost, by rising time."""
        front = [pipeline for pipeline in self.pipelines if pipeline.on_front]
        loads = _loads(front)
        return tuple(sorted(front, key=lambda pipeline: loads[pipeline.chain]))

    @property
    def best(self) -> ComposedPipeline | None:
        return next(iter(self.pipelines), None)

    def __repr__(self) -> str:
        return f"<Composition of {self.dataset}: {len(self.pipelines)} pipelines, {self.best}>"


def _loads(pipelines: Sequence[ComposedPipeline]) -> dict[Chain, float]:
    """Return what orders pipelines by speed: the median in milliseconds, infinite where it is not
    known; the pairs of each where none is known.
    """
    if all(pipeline.latency is None for pipeline in pipelines):
        return {pipeline.chain: float(pipeline.pairs) for pipeline in pipelines}
    loads: dict[Chain, float] = {}
    for pipeline in pipelines:
        loads[pipeline.chain] = math.inf
        if pipeline.latency is not None:
            loads[pipeline.chain] = pipeline.latency.p50_ms
    return loads


def front(pipelines: Iterable[ComposedPipeline]) -> list[ComposedPipeline]:
    """Return the Pareto front, best first: no other is at least as good in quality, time and cost,
    and better in one of them. Where no time is known, documents scored take its place. A pipeline
    of which a time or cost is not known beats none that is.
    """
    members = by_quality(list(pipelines))
    loads = _loads(members)
    unbeaten: list[ComposedPipeline] = []
    costs: list[tuple[float, float]] = []
    for pipeline in members:
        own = (loads[pipeline.chain], _usd(pipeline))
        if not any(other[0] <= own[0] and other[1] <= own[1] for other in costs):
            unbeaten.append(pipeline)
            costs.append(own)
    return unbeaten


def _usd(pipeline: ComposedPipeline) -> float:
    return math.inf if pipeline.usd_per_1000 is None else pipeline.usd_per_1000


def by_quality(pipelines: Sequence[ComposedPipeline]) -> list[ComposedPipeline]:
    """Return the pipelines best first; of equals the fastest, then the shortest."""
    loads = _loads(pipelines)

    def place(pipeline: ComposedPipeline) -> tuple[float, float, float, int]:
        load = loads[pipeline.chain]
        return (-pipeline.quality, load, _usd(pipeline), len(str(pipeline.chain)))

    return sorted(pipelines, key=place)
