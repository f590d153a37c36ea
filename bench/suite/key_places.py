"""Where in a suite each key belongs: what to say of one that is written somewhere else."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator

from pydantic import BaseModel

from bench import datasets, rerankers, retrieval
from bench.catalogue import entries
from bench.core.options import Keys
from bench.latency.plan import LatencyPlan
from bench.latency.scenarios import SCENARIOS
from bench.latency.sweep_plan import SweepPlan
from bench.scoring import executors
from bench.suite.pipeline_entry import KEEP, PipelineEntry

TOP_LEVEL = "suite"
PARTS = frozenset(
    {"latency", "sweep", "executor", "datasets", "first_stages", "rerankers", "pipelines", "stages"}
)
"""Keys of a suite with keys of their own below them."""


def place_of_option(option: str, top_level: Iterable[str]) -> str:
    """Return where a suite has the key that an option of a command is called after, as the end of a
    message; empty where it has no such key.
    """
    key = option.lstrip("-").replace("-", "_")
    place = place_of(top_level, (), ("", key))
    if not place:
        return ""
    return f"'{key}' is a key of the suite: {place}"


def part_elsewhere(name: str, key: str) -> str:
    """Return what a name is that is written under the wrong key, and where it belongs, as a
    message; empty where no other list of a suite knows it. `key` is the list that it is in.
    """
    lists: dict[str, tuple[str, Container[str]]] = {
        "first_stages": ("a first stage", retrieval.TABLE),
        "rerankers": ("a reranker", {*rerankers.TABLE, *entries.load()}),
        "latency.scenarios": ("a latency scenario", SCENARIOS),
    }
    for other_key, (noun, names) in lists.items():
        if other_key != key and name in names:
            return f"'{name}' is {noun}: it belongs under {other_key}"
    kind, colon, _ = name.partition(":")
    if key != "datasets" and colon and kind in datasets.TABLE:
        return f"'{name}' is a dataset: it belongs under datasets"
    return ""


def place_of(top_level: Iterable[str], prefix: Keys, keys: Keys) -> str:
    """Return where the last of these keys belongs, as the end of a message; empty where no part of
    a suite has it.

    `top_level` are the keys of the suite itself, `prefix` those that lead to the part in question.
    """
    path = [*prefix, *keys]
    key = str(path.pop())
    parts = {str(step) for step in path if step in PARTS}
    if not path:
        parts = {TOP_LEVEL}
    # another entry of the same list may have the key, and is no place to move it to
    places = [place for part, place in _places(key, top_level) if part not in parts]
    if not places:
        return ""
    *others, last = places
    if others:
        return f"it belongs {', '.join(others)} or {last}"
    return f"it belongs {last}"


def _places(key: str, top_level: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield the part of a suite that each place is in, and the place in words."""
    if key in top_level:
        yield TOP_LEVEL, "at the top level of the suite"
    if key in LatencyPlan.known_fields():
        yield "latency", "under latency"
    if key in SweepPlan.model_fields:
        yield "sweep", "under latency.sweep"
    if key in datasets.DatasetOptions.model_fields:
        yield "datasets", "in the options of a dataset"
    if name := _first_with(key, retrieval.TABLE, retrieval.options_for):
        yield "first_stages", f"in the options of a first stage such as {name}"
    if name := _first_with(key, rerankers.TABLE, rerankers.options_for):
        yield "rerankers", f"in the options of a reranker such as {name}"
    if key in PipelineEntry.model_fields:
        yield "pipelines", "in an entry of pipelines"
    if name := _first_with(key, executors.EXECUTORS, _executor_options):
        yield "executor", f"in the options of an executor such as {name}"
    if key in SCENARIOS:
        yield "scenarios", "among latency.scenarios"
    if key == KEEP:
        yield "stages", "in the options of a pipeline's stage"


def _executor_options(name: str) -> type[BaseModel]:
    return executors.class_of(name).Options


def _first_with(
    key: str, names: Iterable[str], options_for: Callable[[str], type[BaseModel]]
) -> str | None:
    """Return the first of the names whose options have the key."""
    for name in names:
        if key in options_for(name).model_fields:
            return name
    return None
