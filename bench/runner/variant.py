"""A trial with some settings changed: the same reranker or pipeline, built with other options."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from bench import rerankers
from bench.contract.part import Part
from bench.contract.recipe import Recipe
from bench.contract.stage import Reranker
from bench.contract.trial import System
from bench.core.errors import BenchError
from bench.core.options import as_mapping, decision
from bench.datasets.base import Dataset
from bench.latency.sweep_plan import SETTINGS, Change, Changes
from bench.pipelines.pipeline import Pipeline
from bench.rerankers.options import shared
from bench.suite.pipeline_entry import PipelineEntry
from bench.suite.pipeline_planning import built, recipe_of
from bench.suite.planning import Group, Planned
from bench.suite.suite import Suite


@dataclass
class Variant:
    """A trial with some settings changed, loaded. `settings` are what loaded, by the order of
    SETTINGS; `deciding` are those among the changes that decide its scores.
    """

    planned: Planned
    change: Change
    reranker: Reranker
    deciding: Change = field(default_factory=dict)
    recipe: Recipe | None = None
    pipeline: Pipeline | None = None

    @property
    def system(self) -> System:
        """What decides its scores: the trial alone where they are the trial's own."""
        return System(self.planned.trial.id, **self.deciding)

    @property
    def has_own_scores(self) -> bool:
        return self.planned.trial.kind == "reranker" and bool(self.deciding)

    @cached_property
    def settings(self) -> tuple[Any, ...]:
        description = self.reranker.describe()
        loaded = {**description.facts, **description.identity}
        return tuple(loaded.get(name, self.change.get(name)) for name in SETTINGS)

    def at(self, depth: int) -> tuple[Any, ...]:
        """Return the point that this is at a depth, as a run's table of the sweep keeps it."""
        return self.planned.trial.id, depth, *self.settings


def varied(
    suite: Suite, group: Group, planned: Planned, change: Change, dataset: Dataset
) -> Variant | None:
    """Return a trial with a change made, loaded; None where it has these settings already. Raises
    BenchError where it cannot have them.
    """
    if not change:
        planned.reranker.load()
        return Variant(planned, {}, planned.reranker, pipeline=planned.pipeline)
    if planned.pipeline is not None:
        return _pipeline(suite, group, planned, planned.pipeline, change, dataset)
    changes = _Changes(change)
    part = changes.made(planned.part, planned.reranker)
    changes.check()
    if not changes.values:
        return None
    device = planned.trial.host
    reranker = rerankers.build(part.name, part.options, device, suite.base_dir)
    reranker.check()
    reranker.over(dataset)
    reranker.state = planned.reranker.state
    reranker.load()
    recipe = recipe_of(part, reranker, suite, device)
    return Variant(planned, changes.values, reranker, changes.deciding, recipe)


def _pipeline(
    suite: Suite,
    group: Group,
    planned: Planned,
    pipeline: Pipeline,
    change: Change,
    dataset: Dataset,
) -> Variant | None:
    """Return a pipeline with the change made in each stage that has the option."""
    entry = PipelineEntry.model_validate(planned.part.options)
    changes = _Changes(change)
    stages = [entry.stages[0]]
    for stage, step in zip(entry.stages[1:], pipeline.steps, strict=True):
        stages.append(changes.made(stage, step.reranker))
    changes.check()
    if not changes.values:
        return None
    changed = PipelineEntry(name=entry.name, stages=tuple(stages))
    variant = built(suite, changed, group.first_stage, pipeline.device)
    variant.check()
    variant.over(dataset)
    for step, usual in zip(variant.steps, pipeline.steps, strict=True):
        step.reranker.state = usual.reranker.state
    variant.load()
    return Variant(planned, changes.values, variant, changes.deciding, pipeline=variant)


class _Changes:
    """What of a change was made: the `values` of all options, and of those that are `deciding`
    scores.
    """

    def __init__(self, change: Change) -> None:
        self._change = change
        self._known: set[str] = set()
        self.values: Changes = {}
        self.deciding: Changes = {}

    def made(self, part: Part, reranker: Reranker) -> Part:
        """Return an entry with the changes that it can have."""
        model = rerankers.options_for(part.name)
        before = reranker.options.model_dump()
        options = as_mapping(model, part.options)
        for name, value in self._change.items():
            if name not in model.model_fields:
                continue
            self._known.add(name)
            if before.get(name) == value:
                continue
            options[name] = self.values[name] = value
            if decision(model, name).decides == "scores":
                self.deciding[name] = value
        return Part(name=part.name, options={**options, **self._parts(reranker)} or None)

    def _parts(self, reranker: Reranker) -> dict[str, Any]:
        """Return the options that hold entries, with the change made in each of these."""
        changed: dict[str, Any] = {}
        components = {part.name: part.reranker for part in reranker.parts}
        for option in shared(reranker.options).holds:
            value: Any = dict(reranker.options)[option]
            if isinstance(value, tuple):
                changed[option] = [
                    self.made(part, components[part.label]).to_entry() for part in value
                ]
            elif value is not None:
                changed[option] = self.made(value, components[value.label]).to_entry()
        return changed

    def check(self) -> None:
        """Raise BenchError where nobody has an option of the change."""
        for name in self._change:
            if name not in self._known:
                raise BenchError(f"it has no option '{name}'")
