"""A suite as a mapping may hold objects among its rerankers and the stages of its pipelines: each
is handed over, and a name takes its place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bench.core.handed import name_among

PLAIN = (str, int, float, bool, type(None), Mapping, list, tuple)
"""What YAML can say."""


def with_names(suite: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the suite with names in the place of objects, and the objects by their names.
    `rerankers` may be a list of entries and objects, or a mapping from names in tables to objects.
    """
    named, objects = dict(suite), dict[str, Any]()
    if "rerankers" in named:
        named["rerankers"] = _entries(named["rerankers"], objects)
    pipelines = named.get("pipelines")
    if isinstance(pipelines, list | tuple):
        named["pipelines"] = [_pipeline(pipeline, objects) for pipeline in pipelines]
    return named, objects


def _pipeline(pipeline: Any, objects: dict[str, Any]) -> Any:
    if not isinstance(pipeline, Mapping) or "stages" not in pipeline:
        return pipeline
    return {**pipeline, "stages": _entries(pipeline["stages"], objects)}


def _entries(entries: Any, objects: dict[str, Any]) -> Any:
    if isinstance(entries, Mapping):
        return [_entry({name: thing}, objects) for name, thing in entries.items()]
    if isinstance(entries, Sequence) and not isinstance(entries, str):
        return [_entry(entry, objects) for entry in entries]
    return entries


def _entry(entry: Any, objects: dict[str, Any]) -> Any:
    """Return an entry as a suite file has it. {"mine": model} is the object under that name."""
    if not isinstance(entry, PLAIN):
        return _name(entry, objects)
    if isinstance(entry, Mapping) and len(entry) == 1:
        ((name, thing),) = entry.items()
        if not isinstance(thing, PLAIN):
            return {_name(thing, objects): {"name": name}}
    return entry


def _name(thing: Any, objects: dict[str, Any]) -> str:
    name = name_among(thing, objects)
    objects[name] = thing
    return name
