"""Which differences between two keys a gates file allows: what is under test."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bench.contract.identity import is_library
from bench.records.keys import Key

Differences = Mapping[str, tuple[Any, Any]]
"""Field -> (the baseline's value, the new one)."""
VERSIONS = "versions"
"""Stands for every field of a key that holds a library's version."""


def differences(new: Key, baseline: Key) -> Differences:
    """The fields of two keys that differ, with both values."""
    return {name: (baseline.value(name), new.value(name)) for name in new.differing(baseline)}


def refused(differences: Differences, across: Sequence[str]) -> list[str]:
    """The fields that differ and may not: neither named in `across`, nor inside of what is, nor a
    library's version where versions may differ.
    """
    return [
        name
        for name in differences
        if not (_within(name, across) or (VERSIONS in across and is_library(name)))
    ]


def sentence(differences: Differences) -> str:
    """Return the differences in a sentence."""
    return ", ".join(
        f"{name} ({_short(was)} → {_short(now)})" for name, (was, now) in differences.items()
    )


def _within(name: str, across: Iterable[str]) -> bool:
    return any(name == field or name.startswith(f"{field}.") for field in across)


def _short(value: Any) -> str:
    if value is None:
        return "none"
    text = str(value)
    if len(text) > 40:
        return f"{text[:37]}..."
    return text
