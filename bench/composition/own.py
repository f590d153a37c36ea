"""The pipelines that a run measured itself, as chains over its rows, with their timed medians."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from bench.composition.chain import Chain
from bench.composition.entries import chain_of
from bench.composition.stored import Stored
from bench.contract.part import Part
from bench.core.errors import BenchError
from bench.latency.columns import P50, Interval
from bench.records.rows import Row
from bench.records.run import Run
from bench.suite.cascade_entry import is_cascade
from bench.suite.naming import display_name
from bench.suite.pipeline_entry import PipelineEntry
from bench.suite.pipeline_planning import cascade_entry
from bench.suite.resolved import named_stages


def own_pipelines(run: Run, dataset: Stored) -> dict[Chain, Interval | None]:
    """Return the pipelines of one dataset of a run that can be composed of its rows, each with the
    median of its timed calls and the 95 % interval of that; None where it was not timed.
    """
    entries = dict(_entries(run))
    pipelines: dict[Chain, Interval | None] = {}
    for row in run.rows:
        trial = row.trial
        if trial.dataset != dataset.dataset or not row.stages:
            continue
        entry = entries.get((trial.reranker, "")) or entries.get(
            (trial.reranker, trial.first_stage)
        )
        if entry is None:
            continue
        try:
            chain = chain_of(entry, dataset)
        except BenchError:
            # a stage of it is no row of the run
            continue
        first = dataset.begins(chain.first)
        pipelines[replace(chain, first=first, depth=trial.depth)] = _median(row)
    return pipelines


def _median(row: Row) -> Interval | None:
    summary = row.query_here or row.query_elsewhere
    if summary is None:
        return None
    interval = summary.of(P50)
    return None if interval.value is None else interval


def _entries(run: Run) -> Iterator[tuple[tuple[str, str], PipelineEntry]]:
    """Yield the pipelines that a suite names, and those that its cascades are after each of its
    first stages: (name, first stage or nothing) -> entry.
    """
    stages = named_stages(run.info.resolved, run.folder)
    for entry in stages.pipelines:
        yield (entry.name, ""), entry
    for part in stages.rerankers:
        if is_cascade(part):
            for first in stages.first_stages:
                name = display_name(first)
                entry = cascade_entry(part, Part(name=name, options=None))
                yield (display_name(part), name), entry
