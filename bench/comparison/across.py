"""Which differences between two keys a gates file allows: what is under test."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bench.machine import fingerprint
from bench.records.keys import Key

Differences = Mapping[str, tuple[Any, Any]]
"""Field -> (the baseline's value, the new one)."""
LIBRARIES = frozenset(
    {*fingerprint.LIBRARIES, "onnx", "onnxscript", "ir_measures", "PyStemmer", "cuda"}
)
"""Fields of the keys that hold the version of a library: what `across: versions` covers."""
GROUPS = frozenset({"libraries", "versions"})
"""Fields whose own fields are libraries, whichever they are: how a reranker of an outsider records
its own.
"""

VERSIONS = "versions"
"""Stands for every field of a system key that holds a library's version."""


def differences(new: Key, baseline: Key) -> Differences:
    """The fields of two keys that differ, with both values."""
    return {name: (baseline.value(name), new.value(name)) for name in new.differing(baseline)}


def refused(found: Differences, across: Sequence[str]) -> list[str]:
    """The fields that differ and may not: neither named in `across`, nor inside of what is, nor a
    library's version where versions may differ.
    """
    return [
        name
        for name in found
        if not (_within(name, across) or (VERSIONS in across and is_version(name)))
    ]


def is_version(name: str) -> bool:
    """Whether a field of a key holds a library's version: by its name, since an address or a model
    may look like one.
    """
    *groups, last = name.split(".")
    return last in LIBRARIES or not GROUPS.isdisjoint(groups)


def sentence(found: Differences) -> str:
    """The differences in a sentence."""
    return ", ".join(
        f"{name} ({_short(was)} → {_short(now)})" for name, (was, now) in found.items()
    )


def _within(name: str, across: Iterable[str]) -> bool:
    return any(name == one or name.startswith(f"{one}.") for one in across)


def _short(value: Any) -> str:
    return (
        "none"
        if value is None
        else str(value)
        if len(str(value)) <= 40
        else f"{str(value)[:37]}..."
    )
