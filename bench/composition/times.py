"""A forecast of the latency of composed pipelines, from the times of their stages: query by query,
so that a query that is slow in every stage is slow in the whole.

A stage that was timed at several depths (a sweep) is interpolated between them; one that was timed
at a single depth is taken in proportion to its documents. Nothing of this is a measurement of the
pipeline.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from bench.composition.chain import Chain
from bench.latency.columns import P50, P95, Interval, needed
from bench.latency.scenarios import one_query, one_query_at
from bench.latency.summary import timed_calls
from bench.latency.sweep_plan import SETTINGS
from bench.records.run import Run
from bench.records.schema import Record

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    Values = NDArray[np.float64]

Basis = Literal["measured", "interpolated", "proportional"]
"""How the time of a stage at a depth is known, from the best to the worst."""
BASES: Sequence[Basis] = ("measured", "interpolated", "proportional")
Calls = Mapping[str, Sequence[float]]
"""Query id -> the milliseconds of each round."""


@dataclass(frozen=True)
class StageTimes:
    """The times of one stage: by depth, the calls of its queries. `is_hosted` where they hold a
    network. No query has more than `longest` candidates.
    """

    name: str
    by_depth: Mapping[int, Calls]
    is_hosted: bool = False
    longest: int | None = None

    @cached_property
    def medians(self) -> list[tuple[int, float]]:
        """The median of each depth, by rising depth."""
        import numpy as np

        medians: list[tuple[int, float]] = []
        for depth, calls in sorted(self.by_depth.items()):
            values: list[float] = []
            for rounds in calls.values():
                values += rounds
            medians.append((depth, float(np.median(values))))
        return medians

    def reached(self, depth: int) -> int:
        """Return the number of documents that there are at a depth."""
        if self.longest is None:
            return depth
        return min(depth, self.longest)

    def basis(self, depth: int) -> Basis:
        """Return how the time at a depth is known."""
        depth = self.reached(depth)
        if depth in self.by_depth:
            return "measured"
        if len(self.by_depth) > 1:
            return "interpolated"
        return "proportional"

    def nearest(self, depth: int) -> int:
        """Return the timed depth that is next to a depth."""
        return min(self.by_depth, key=lambda timed: (abs(timed - depth), timed))

    def factor(self, depth: int) -> float:
        """Return the time at a depth as a multiple of that at the nearest timed one: by the line
        between the medians around it, or that of the nearest two; never less than in proportion
        below the smallest depth. In proportion where a single depth was timed.
        """
        depth = self.reached(depth)
        nearest = self.nearest(depth)
        if depth == nearest:
            return 1.0
        if len(self.medians) == 1:
            return depth / nearest
        own = dict(self.medians)[nearest]
        if not own:
            return 1.0
        return self._on_line(depth) / own

    def _on_line(self, depth: int) -> float:
        points = self.medians
        number = 0
        while number < len(points) - 2 and depth > points[number + 1][0]:
            number += 1
        (low, low_ms), (high, high_ms) = points[number], points[number + 1]
        on_line = low_ms + (depth - low) / (high - low) * (high_ms - low_ms)
        if depth < points[0][0]:
            return max(on_line, low_ms * depth / low)
        return max(on_line, low_ms)


@dataclass(frozen=True)
class Forecast:
    """The latency of a composed pipeline as its stages let expect it, in milliseconds. `p95_ms` is
    None where too few queries were timed to say it.

    `basis` is that of the stage that is known the worst. `without_search` where the first stage was
    not timed: its time is missing. `is_hosted` where a stage's times hold a network.
    """

    p50_ms: float
    p95_ms: float | None
    queries: int
    basis: Basis
    without_search: bool = False
    is_hosted: bool = False


@dataclass
class Forecasts:
    """Forecasts over one dataset. `stages` are the times of rows and `searches` those of first
    stages, by their names in chains.
    """

    stages: Mapping[str, StageTimes]
    searches: Mapping[str, StageTimes]
    seed: int = 0
    shares: Mapping[Chain, Mapping[str, float]] = field(default_factory=dict)
    """What the last stage of a chain scores of each query, as a share of what it gets at most,
    where a rule or a cut by score leaves something out.
    """
    _samples: dict[tuple[str, bool, int], Values] = field(default_factory=dict)

    @cached_property
    def query_ids(self) -> list[str]:
        """The queries that every stage was timed on, all of them as often."""
        common: set[str] | None = None
        for calls in self._all_calls():
            common = set(calls) if common is None else common & set(calls)
        return sorted(common or ())

    @cached_property
    def rounds(self) -> int:
        counts: list[int] = []
        for calls in self._all_calls():
            counts += [len(calls[query_id]) for query_id in self.query_ids]
        return min(counts, default=0)

    def of(self, chains: Sequence[Chain]) -> list[Forecast | None]:
        """Return the forecast of each chain; None where a row of it has no time."""
        import numpy as np

        forecasts: list[Forecast | None] = [None] * len(chains)
        places = [place for place, chain in enumerate(chains) if self.is_timed(chain)]
        if not places or not self.query_ids:
            return forecasts
        totals = np.stack([self.samples(chains[place]).ravel() for place in places])
        medians = np.quantile(totals, 0.5, axis=1)
        high = np.quantile(totals, 0.95, axis=1)
        for number, place in enumerate(places):
            p95_ms: float | None = None
            if len(self.query_ids) >= needed(0.95):
                p95_ms = float(high[number])
            forecasts[place] = self._forecast(chains[place], float(medians[number]), p95_ms)
        return forecasts

    def intervals(self, chain: Chain) -> tuple[Interval, Interval] | None:
        """Return p50 and p95 of a chain with the 95 % intervals of resampled queries; None where a
        stage is known in proportion alone, so that an interval would say too little.
        """
        import pandas as pd

        from bench.latency.intervals import percentiles

        if not self.is_timed(chain) or not self.query_ids or self._basis(chain) == "proportional":
            return None
        samples = self.samples(chain)
        clusters = pd.Series(self.query_ids).repeat(samples.shape[1]).reset_index(drop=True)
        values = pd.Series(samples.ravel())
        columns = percentiles(values, clusters, len(self.query_ids), self.seed)
        return columns[P50.key], columns[P95.key]

    def is_timed(self, chain: Chain) -> bool:
        """Return whether every row of a chain has a time."""
        return all(row in self.stages for row in chain.rows)

    def samples(self, chain: Chain) -> Values:
        """Return the sum of a chain's stages for each query and round, shape (queries, rounds)."""
        import numpy as np

        total = np.zeros((len(self.query_ids), self.rounds))
        if chain.first in self.searches:
            total = total + self._at(self.searches[chain.first], chain.depth, is_search=True)
        for number, (step, depth) in enumerate(zip(chain.steps, chain.received(), strict=True), 1):
            share = self._share(Chain(chain.first, chain.depth, chain.steps[:number]))
            for row in step.work.rows:
                total = total + self._at(self.stages[row], depth) * share
        return total

    def _share(self, chain: Chain) -> Values | float:
        """Return what the last stage of a chain scores of each query, shape (queries, 1); 1 where
        that is all.
        """
        import numpy as np

        shares = self.shares.get(chain)
        if shares is None:
            return 1.0
        return np.array([[shares[query_id]] for query_id in self.query_ids], dtype=np.float64)

    def _at(self, stage: StageTimes, depth: int, *, is_search: bool = False) -> Values:
        """Return a stage's milliseconds at a depth, shape (queries, rounds). A search takes the
        same at every depth.
        """
        import numpy as np

        timed = stage.nearest(stage.reached(depth))
        factor = 1.0 if is_search else stage.factor(depth)
        key = (stage.name, is_search, timed)
        if key not in self._samples:
            calls = stage.by_depth[timed]
            rows = [calls[query_id][: self.rounds] for query_id in self.query_ids]
            self._samples[key] = np.array(rows, dtype=np.float64)
        return self._samples[key] * factor

    def _forecast(self, chain: Chain, p50_ms: float, p95_ms: float | None) -> Forecast:
        is_hosted = any(self.stages[row].is_hosted for row in chain.rows)
        return Forecast(
            p50_ms,
            p95_ms,
            len(self.query_ids),
            self._basis(chain),
            without_search=chain.first not in self.searches,
            is_hosted=is_hosted,
        )

    def _basis(self, chain: Chain) -> Basis:
        bases = [self.stages[row].basis(depth) for row, depth in chain.scored()]
        for number in range(1, len(chain.steps) + 1):
            shares = self.shares.get(Chain(chain.first, chain.depth, chain.steps[:number]), {})
            if set(shares.values()) - {0.0, 1.0}:
                # a part of a list is taken in proportion to it
                bases.append("proportional")
        return max(bases, key=BASES.index, default="measured")

    def _all_calls(self) -> Iterator[Calls]:
        for stage in (*self.stages.values(), *self.searches.values()):
            yield from stage.by_depth.values()


def together(name: str, stages: Sequence[StageTimes]) -> StageTimes:
    """Return the times of searches that run one after the other, query by query, each at the
    greatest depth that it was timed at.
    """
    calls = [stage.by_depth[max(stage.by_depth)] for stage in stages]
    common = [query_id for query_id in calls[0] if all(query_id in own for own in calls)]
    sums: dict[str, list[float]] = {}
    for query_id in common:
        rounds = zip(*(own[query_id] for own in calls), strict=False)
        sums[query_id] = [sum(times) for times in rounds]
    return StageTimes(name, {max(stages[0].by_depth): sums}, any(each.is_hosted for each in stages))


def pairs_of(chain: Chain) -> int:
    """Return the documents per query that are scored, at most, over all stages."""
    return sum(depth for _, depth in chain.scored())


def stage_times(run: Run, names: Mapping[str, str]) -> dict[str, StageTimes]:
    """Return the times of trials by the names of their rows: trial id -> name. A trial that was not
    timed is left out; of several with a name, the first counts.
    """
    calls = timed_calls(run.latency)
    calls = calls[calls["scenario"].isin(one_query())]
    stages: dict[str, StageTimes] = {}
    for trial_id, name in names.items():
        record = run.records.get(trial_id)
        own = calls[calls["trial"] == trial_id]
        if record is None or own.empty or name in stages:
            continue
        longest = min(record.trial.depth, int(record.candidates.get("longest", record.trial.depth)))
        plan = run.info.resolved.get("latency") or {}
        by_depth = {min(plan.get("depth") or longest, longest): _by_query(own)}
        by_depth |= _swept(run, record)
        is_hosted = bool((own["scenario"] == one_query_at(remote=True)).any())
        stages[name] = StageTimes(name, by_depth, is_hosted, longest)
    return stages


def _swept(run: Run, record: Record) -> dict[int, Calls]:
    """Return the calls of a sweep at other depths, in the settings that the trial itself has."""
    own = run.sweep[run.sweep["trial"] == record.trial.id]
    if own.empty:
        return {}
    own = timed_calls(own)
    changed = [f"system_{name}" for name in SETTINGS]
    own = own[own[changed].isna().all(axis=1)]
    settings = [name for name in SETTINGS if own[name].nunique(dropna=False) > 1]
    facts = record.description.get("facts", {})
    for name in settings:
        own = own[_equal(own[name], facts.get(name))]
    return {int(depth): _by_query(rows) for depth, rows in own.groupby("depth")}


def _equal(column: pd.Series, value: object) -> pd.Series:
    if value is None:
        return column.isna()
    return column == value


def _by_query(rows: pd.DataFrame) -> Calls:
    calls: dict[str, list[float]] = {}
    columns: Iterable[tuple[str, int]] = zip(rows["query"], rows["nanoseconds"], strict=True)
    for query_id, nanoseconds in columns:
        calls.setdefault(str(query_id), []).append(nanoseconds / 1e6)
    return calls
