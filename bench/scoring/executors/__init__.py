"""Executors: where the work of the quality pass is done. One file each, and one line in the table.

An outsider's class is a subclass of `bench.scoring.executors.base.Executor`, named
"package.module:Class" in a suite; a line in the table gives it a name of its own.
"""

from __future__ import annotations

from typing import Any

from bench.contract.part import Part
from bench.core.errors import SuiteError
from bench.core.options import validated
from bench.core.outsiders import OutsiderError, outsiders_code
from bench.core.plugins import resolve
from bench.scoring.executors.base import Executor

EXECUTORS = {
    "here": "bench.scoring.executors.here:Here",
    "processes": "bench.scoring.executors.processes:Processes",
    "ray": "bench.scoring.executors.ray:Ray",
}
"""Name -> class. The first one is what a suite gets that names none."""
DEFAULT = next(iter(EXECUTORS))


def class_of(name: str) -> type[Executor]:
    """Return the class behind a name. Raises SuiteError naming the nearest valid name."""
    if "://" not in name and name.rpartition(":")[2].isdecimal():
        raise SuiteError(f"executor '{name}': the address of a Ray cluster is written ray://{name}")
    kind = resolve(name, EXECUTORS, "executor")
    if not isinstance(kind, type) or not issubclass(kind, Executor):
        raise SuiteError(
            f"executor '{name}': the class needs to be a subclass of "
            "bench.scoring.executors.base.Executor"
        )
    return kind


def entry_of(text: str) -> str | dict[str, dict[str, str]]:
    """Return the entry of a suite for a name, or for the address of a cluster, whose scheme is the
    name: `ray://head:6379`.
    """
    name = text.partition("://")[0]
    if name != text and name in EXECUTORS:
        return {name: {"address": text}}
    return text


def named(text: str) -> Executor:
    """Return an executor by its name or the address of a cluster. Raises SuiteError."""
    part = Part.model_validate(entry_of(text))
    return build(part.name, part.options)


def build(name: str, options: Any = None) -> Executor:
    """Return an executor; nothing is started yet. Raises SuiteError for an unknown name or options
    that cannot be used.
    """
    kind = class_of(name)
    valid = validated(kind.Options, options, f"executor '{name}'")
    try:
        with outsiders_code():
            return kind(name, valid)
    except OutsiderError as error:
        raise SuiteError(f"executor '{name}' cannot be made: {error}") from error.cause
