"""From a suite's pipelines to the groups of candidates that they are measured over, and to the
stages that they are made of.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from bench import rerankers, retrieval
from bench.contract.learned import Origin
from bench.contract.part import Part
from bench.contract.recipe import Recipe
from bench.contract.stage import Reranker
from bench.core.errors import SuiteError
from bench.core.options import Keys, as_mapping
from bench.pipelines.pipeline import Pipeline, Step
from bench.suite.cascade_entry import cascade_of, is_cascade, keys_of_stage
from bench.suite.naming import display_name
from bench.suite.pipeline_entry import PipelineEntry, keep_of, without_keep
from bench.suite.suite import Suite


@dataclass(frozen=True)
class Candidates:
    """The candidates that a group shares: a first stage, as the suite would list it, and the
    pipelines that begin with it. `listed` are those that the suite's rerankers are measured over.
    """

    first_stage: Part
    depth: int
    pipelines: tuple[PipelineEntry, ...]
    listed: bool


def cascade_entry(part: Part, first_stage: Part) -> PipelineEntry:
    """Return the pipeline that a cascade among the rerankers is after a first stage."""
    cascade = cascade_of(part)
    return PipelineEntry(
        name=display_name(part), stages=(first_stage, *cascade.stages), optional=cascade.optional
    )


def candidates_of(suite: Suite) -> list[Candidates]:
    """Return the first stages of a suite, those that only pipelines begin with after the others. A
    pipeline begins with a listed one where that is the same, at the same depth.

    Where there are pipelines and no rerankers, a first stage that nobody named is left out.
    """
    waiting = list(suite.pipelines)
    groups: list[Candidates] = []
    is_named = bool(suite.rerankers) or "first_stages" in suite.model_fields_set
    if is_named or not waiting:
        for part in suite.first_stages:
            groups.append(_group(suite, part, depth_of(suite, part), waiting, listed=True))
    while waiting:
        stage = waiting[0].stages[0]
        part = without_keep(stage)
        depth = keep_of(stage) or depth_of(suite, without_keep(stage))
        names = {display_name(group.first_stage) for group in groups}
        part = _at_depth(part, depth, suite, names)
        groups.append(_group(suite, part, depth, waiting, listed=False))
    return groups


def depth_of(suite: Suite, part: Part) -> int:
    """Return how many candidates a first stage retrieves for a query."""
    options = part.options
    if isinstance(options, Mapping) and options.get("depth"):
        return int(options["depth"])
    return suite.depth


def built(suite: Suite, entry: PipelineEntry, first_stage: Part, device: str) -> Pipeline:
    """Return a pipeline, nothing loaded yet."""
    first = retrieval.build(first_stage.name, first_stage.options, suite.base_dir, device)
    origin = origin_of(suite, first_stage)
    steps: list[Step] = []
    for place, stage in enumerate(entry.stages[1:], start=1):
        plain = without_keep(stage)
        try:
            reranker = rerankers.build(plain.name, plain.options, device, suite.base_dir)
        except SuiteError as error:
            raise suite.problem(_keys_of(suite, entry, place), str(error)) from error
        key = json.dumps([plain.to_entry(), device], sort_keys=True, default=str)
        between = tuple(step.name for step in steps)
        reranker.follows(replace(origin, between=between))
        recipe = plain.recipe(suite.base_dir, device) if reranker.is_portable else None
        steps.append(Step(display_name(plain), reranker, keep_of(stage), key, recipe))
    return Pipeline(display_name(first_stage), first, steps, device=device)


def origin_of(suite: Suite, first_stage: Part) -> Origin:
    """Return where the lists of a stage come from that comes right after a first stage."""
    depth = depth_of(suite, first_stage)
    return Origin(first_stage.recipe(suite.base_dir), depth, suite.seed)


def recipe_of(part: Part, reranker: Reranker, suite: Suite, device: str) -> Recipe | None:
    """Return how another process builds the same reranker, alone; None where it cannot."""
    if reranker.needs_collection:
        return None
    return part.recipe(suite.base_dir, device)


def _keys_of(suite: Suite, entry: PipelineEntry, place: int) -> Keys:
    """Return the keys that lead to a stage of a pipeline, or of a cascade among the rerankers."""
    for number, part in enumerate(suite.rerankers):
        if is_cascade(part) and display_name(part) == entry.name:
            return keys_of_stage(part, ("rerankers", number, part.name), place - 1)
    return ("pipelines", suite.pipelines.index(entry), "stages", place, entry.stages[place].name)


def as_part(entry: PipelineEntry) -> Part:
    """Return a pipeline as one entry of a suite's list, which names it in tables."""
    return Part(name="pipeline", options=entry.to_entry())


def _group(
    suite: Suite, part: Part, depth: int, waiting: list[PipelineEntry], *, listed: bool
) -> Candidates:
    """Return the group of a first stage with the pipelines that begin with it, which wait no
    longer.
    """
    mine = [entry for entry in waiting if _begins_with(suite, entry, part, depth)]
    waiting[:] = [entry for entry in waiting if entry not in mine]
    return Candidates(part, depth, tuple(mine), listed)


def _begins_with(suite: Suite, entry: PipelineEntry, part: Part, depth: int) -> bool:
    stage = entry.stages[0]
    plain = without_keep(stage)
    own_depth = keep_of(stage) or depth_of(suite, plain)
    return (plain.name, dict(_settings(plain)), own_depth) == (
        part.name,
        dict(_settings(part)),
        depth,
    )


def _settings(part: Part) -> Iterator[tuple[str, Any]]:
    """Yield what decides a first stage's candidates, but for their number."""
    if isinstance(part.options, Mapping):
        for name, value in part.options.items():
            if name not in ("name", "depth"):
                yield name, value
    elif part.options is not None:
        yield "", part.options


def _at_depth(part: Part, depth: int, suite: Suite, names: set[str]) -> Part:
    """Return a first stage that retrieves this many, under a name that no other has."""
    options = dict(as_mapping(retrieval.options_for(part.name), part.options))
    if depth != depth_of(suite, part):
        options["depth"] = depth
    name = display_name(part)
    if name in names:
        options["name"] = f"{name} at {depth}"
    return Part(name=part.name, options=options or None)
