"""Composes pipelines from what a run has stored: measures them, forecasts their latency, prices
them, and tunes blends on one half of the queries for the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from bench.composition.chain import Chain
from bench.composition.composed import (
    ComposedPipeline,
    Composition,
    Limits,
    Tuning,
    by_quality,
    front,
)
from bench.composition.entries import chain_of, entries
from bench.composition.grammar import read
from bench.composition.grid import blends, grid, hybrids_to_tune, over_hybrid
from bench.composition.hybrids import Fusion
from bench.composition.measuring import PerMeasure
from bench.composition.own import own_pipelines
from bench.composition.prices import RowPrice, price_of, row_price
from bench.composition.steps import NotStored
from bench.composition.stored import Stored, stored
from bench.composition.times import Forecasts, StageTimes, pairs_of, stage_times, together
from bench.composition.training import families_seen
from bench.core.errors import BenchError, DataError
from bench.datasets.folds import folds
from bench.latency.columns import Interval
from bench.quality import statistics
from bench.records.measure import resolve_measure
from bench.records.run import Run

SHARES = tuple(number / 10 for number in range(11))
"""The shares of a reranker that a blend is tuned over, and of the first list that a hybrid is."""


def compose(
    run: Run,
    pipelines: Sequence[str] = (),
    *,
    file: Path | None = None,
    dataset: str | None = None,
    measure: str | None = None,
    limits: Limits | None = None,
    tuned: bool = True,
) -> list[Composition]:
    """Return what can be composed of each dataset of a run: the pipelines that are named, or those
    of a YAML file, else a grid, with blends that are tuned where `tuned` says so.

    Raises BenchError for a pipeline that the run cannot give.
    """
    listed = [] if file is None else entries(file)
    compositions: list[Composition] = []
    for datum in stored(run, dataset):
        named = [(read(text, datum, 0), read(text, datum, 1)) for text in pipelines]
        for entry in listed:
            chain = chain_of(entry, datum)
            named.append((chain, chain))
        compositions.append(Composing(datum, limits or Limits(), measure).run(named, tuned=tuned))
    return compositions


@dataclass
class Composing:
    """Composes pipelines of one dataset."""

    dataset: Stored
    limits: Limits
    measure: str | None = None
    left_out: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.run_folder: Run = self.dataset.run
        trials = {group.trial_id for group in self.dataset.groups}
        self.headline = resolve_measure(self.run_folder, self.measure, trials)

    def run(self, named: Sequence[tuple[Chain, Chain]], *, tuned: bool) -> Composition:
        """Return the pipelines that are named, as they are for each half of the queries; of none,
        those of a grid.
        """
        self.dataset.verify()
        self.left_out |= self.dataset.left_out
        if named:
            composed = [self._named(*pair) for pair in named]
        else:
            # after the grid, which holds no hybrids but its own
            chains = grid(self.dataset)
            composed = list(self._measured(dict.fromkeys([*chains, *self.own])))
        if tuned and not named:
            composed += self.tuned_blends()
            composed += self.tuned_hybrids()
        within = [pipeline for pipeline in composed if self.limits.fit(pipeline)]
        return Composition(
            self.dataset.dataset,
            self.headline,
            len(self.dataset.query_ids),
            tuple(self._with_front(by_quality(within))),
            self.limits,
            tuple(self.left_out.items()),
            len(composed) - len(within),
            tuple(name for name in self.dataset.rows if name not in self.forecasts.stages),
            tuple(
                group.first
                for group in self.dataset.groups
                if group.first not in self.forecasts.searches
            ),
        )

    def _named(self, first: Chain, second: Chain) -> ComposedPipeline:
        """Return a pipeline as it is for each half of the queries. Raises BenchError for what the
        run cannot give.
        """
        line = self.dataset.line(first, second)
        chains = [first] if first == second else [first, second]
        try:
            by_half = [self.dataset.measuring.values(chain) for chain in chains]
        except NotStored as error:
            raise BenchError(f"{line}: {error}") from error
        values = by_half[0]
        if len(chains) > 1:
            halves = self._halves()
            if halves is None:
                raise BenchError(f"{line}: the queries are too few for halves: give one weight")
            values = _by_halves(by_half, halves)
        (pipeline,) = self._pipelines([(first, values)])
        return replace(pipeline, line=line)

    def _measured(self, chains: Iterable[Chain]) -> Iterator[ComposedPipeline]:
        usable: list[tuple[Chain, PerMeasure]] = []
        for chain in chains:
            try:
                usable.append((chain, self.dataset.measuring.values(chain)))
            except NotStored as error:
                self.left_out.setdefault(str(chain), str(error))
        yield from self._pipelines(usable)

    def _pipelines(self, usable: Sequence[tuple[Chain, PerMeasure]]) -> Iterator[ComposedPipeline]:
        forecasts = self.forecasts.of([chain for chain, _ in usable])
        firsts = {chain.first: self.dataset.begins(chain.first) for chain, _ in usable}
        for (chain, values), forecast in zip(usable, forecasts, strict=True):
            yield ComposedPipeline(
                chain,
                dict(values),
                float(values[self.headline].mean()),
                forecast,
                price_of(chain, self.prices, self.dataset.measuring.shares),
                pairs_of(chain),
                timed=self.own.get(replace(chain, first=firsts[chain.first])),
                seen=families_seen(self.dataset, chain),
            )

    def tuned_blends(self) -> Iterator[ComposedPipeline]:
        """Yield the blends, each query by the share that was best on the other half."""
        halves = self._halves()
        if halves is None:
            return
        for chain in blends(self.dataset):
            shared = [chain.with_share(share) for share in SHARES]
            try:
                yield self._tuned(chain.with_share(0.5), shared, halves)
            except NotStored:
                continue

    def tuned_hybrids(self) -> Iterator[ComposedPipeline]:
        """Yield the sums of the z-scores of two first stages, alone and reranked, each query by the
        share of the first list that was best on the other half.
        """
        halves = self._halves()
        if halves is None:
            return
        # weighted ones are added while the others are walked over
        for hybrid in list(hybrids_to_tune(self.dataset)):
            members = [group.first for group in hybrid.members]
            weighted = [
                self.dataset.add_hybrid(members, Fusion("weighted", weights))
                for weights in zip(SHARES, reversed(SHARES), strict=True)
            ]
            for chain in over_hybrid(self.dataset, hybrid):
                shared = [replace(chain, first=name) for name in weighted]
                try:
                    yield self._tuned(chain, shared, halves)
                except NotStored:
                    continue

    def _tuned(
        self, own: Chain, shared: Sequence[Chain], halves: Sequence[int]
    ) -> ComposedPipeline:
        """Return a pipeline of which there is one for each share: each query has the one that was
        best on the other half. `own` is it at equal shares, whose times and price are those of all.
        Raises NotStored.
        """
        import numpy as np

        by_share = [self.dataset.measuring.values(chain) for chain in shared]
        fold = np.asarray(halves)
        best: list[int] = []
        for half in (0, 1):
            means = [values[self.headline][fold != half].mean() for values in by_share]
            best.append(int(np.argmax(means)))
        values = _by_halves([by_share[place] for place in best], halves)
        (pipeline,) = self._pipelines([(own, values)])
        first, second = best
        sizes = (int((fold == 0).sum()), int((fold == 1).sum()))
        tuning = Tuning((SHARES[first], SHARES[second]), sizes, tuple(halves))
        line = self.dataset.line(shared[first], shared[second])
        return replace(pipeline, tuning=tuning, line=line)

    def _halves(self) -> list[int] | None:
        """Return the half of each query; None where there are too few queries for two."""
        texts = {
            query_id: self.dataset.texts.get(query_id, query_id)
            for query_id in self.dataset.query_ids
        }
        try:
            fold_of = folds(texts, 2, self.run_folder.seed)
        except DataError:
            return None
        return [fold_of[query_id] for query_id in self.dataset.query_ids]

    def _with_front(self, pipelines: Sequence[ComposedPipeline]) -> Iterator[ComposedPipeline]:
        # not by chain: that of equal weights is the chain of tuned ones, too
        unbeaten = {id(pipeline) for pipeline in front(pipelines)}
        for pipeline in pipelines:
            if id(pipeline) not in unbeaten:
                yield pipeline
                continue
            values = pipeline.values[self.headline].tolist()
            estimate = statistics.estimate(values, self.run_folder.seed)
            intervals = self.forecasts.intervals(pipeline.chain)
            yield replace(pipeline, on_front=True, estimate=estimate, intervals=intervals)

    @cached_property
    def own(self) -> dict[Chain, Interval | None]:
        """The pipelines that the run measured itself, with their timed medians."""
        return own_pipelines(self.run_folder, self.dataset)

    @cached_property
    def forecasts(self) -> Forecasts:
        """The forecasts from the times that the run has stored."""
        rows: dict[str, str] = {}
        for group in self.dataset.groups:
            rows |= {trial.trial_id: trial.name for trial in group.trials}
        searches = {group.trial_id: group.first for group in self.dataset.groups}
        run = self.run_folder
        times = stage_times(run, searches)
        hybrids: dict[str, StageTimes] = {}
        for name, hybrid in self.dataset.hybrids.items():
            parts = [times[group.first] for group in hybrid.members if group.first in times]
            if len(parts) == len(hybrid.members):
                hybrids[name] = together(name, parts)
        shares = self.dataset.measuring.shares
        return Forecasts(stage_times(run, rows), {**times, **hybrids}, run.seed, shares)

    @cached_property
    def prices(self) -> Mapping[str, RowPrice]:
        """What each row costs, by its name."""
        prices: dict[str, RowPrice] = {}
        for name, trials in self.dataset.trials.items():
            prices[name] = row_price(self.run_folder.records[trials[0].trial_id])
        return prices


def _by_halves(by_half: Sequence[PerMeasure], halves: Sequence[int]) -> PerMeasure:
    """Return the values of each query by those of its half."""
    import numpy as np

    fold = np.asarray(halves)
    first, second = by_half
    return {name: np.where(fold == 0, first[name], second[name]) for name in first}
