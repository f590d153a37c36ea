"""Objects among the rerankers and the stages of a suite that is a mapping: each is handed over, and
a name takes its place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bench.core.handed import name_among
from bench.suite.cascade_entry import CASCADE, STAGES

PLAIN = (str, int, float, bool, type(None), Mapping, list, tuple)
"""What YAML can say."""


PARTS = "of"
"""The option that holds the entries that a stage is made of."""
Objects = dict[str, object]
"""What was handed over, by the names that a suite has for it."""


def with_names(suite: Mapping[str, Any]) -> tuple[Mapping[str, Any], Objects]:
    """Return the suite with names in the place of objects, and the objects by their names.

    `rerankers` may be a list of entries and objects, or a mapping from names in tables to objects.
    """
    objects: Objects = {}
    plain = dict(suite)
    if "rerankers" in plain:
        plain["rerankers"] = _entries(plain["rerankers"], objects)
    pipelines = plain.get("pipelines")
    if isinstance(pipelines, list | tuple):
        plain["pipelines"] = [_pipeline(pipeline, objects) for pipeline in pipelines]
    return plain, objects


def _pipeline(pipeline: Any, objects: Objects) -> Any:
    if not isinstance(pipeline, Mapping) or "stages" not in pipeline:
        return pipeline
    return {**pipeline, "stages": _entries(pipeline["stages"], objects)}


def _entries(entries: Any, objects: Objects) -> Any:
    if isinstance(entries, Mapping):
        return [_entry({name: part}, objects) for name, part in entries.items()]
    if isinstance(entries, Sequence) and not isinstance(entries, str):
        return [_entry(entry, objects) for entry in entries]
    return entries


def _entry(entry: Any, objects: Objects) -> Any:
    """Return an entry as a suite file has it. {"mine": model} is the object under that name."""
    if not isinstance(entry, PLAIN):
        return _name(entry, objects)
    if isinstance(entry, Mapping) and len(entry) == 1:
        ((name, part),) = entry.items()
        if not isinstance(part, PLAIN):
            return {_name(part, objects): {"name": name}}
        if isinstance(part, Mapping):
            # a stage that is made of others, or a cascade
            options = {PARTS: part.get(PARTS), STAGES: part.get(STAGES)}
            inner = {key: _parts(value, objects) for key, value in options.items() if value}
            return {name: {**part, **inner}}
        if name == CASCADE:
            return {name: _parts(part, objects)}
    return entry


def _parts(value: Any, objects: Objects) -> Any:
    """Return the parts of a stage: a list of entries, or one."""
    if isinstance(value, list | tuple):
        return _entries(value, objects)
    return _entry(value, objects)


def _name(part: object, objects: Objects) -> str:
    name = name_among(part, objects)
    objects[name] = part
    return name
