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
    return ", ".join(f"{name} ({_change(*values)})" for name, values in differences.items())


def _change(was: Any, now: Any) -> str:
    """Return both values, and of two lists what one alone has."""
    if not isinstance(was, list | tuple) or not isinstance(now, list | tuple):
        return f"{_short(was)} → {_short(now)}"
    gone = [value for value in was if value not in now]
    added = [value for value in now if value not in was]
    if not gone and not added:
        return "in another order"
    texts = []
    if added:
        texts.append(f"with {_short(added)}")
    if gone:
        texts.append(f"without {_short(gone)}")
    return ", ".join(texts)


def _within(name: str, across: Iterable[str]) -> bool:
    return any(name == field or name.startswith(f"{field}.") for field in across)


def _short(value: Any) -> str:
    if value is None:
        return "none"
    text = str(value)
    if isinstance(value, Mapping):
        text = ", ".join(f"{name}: {_short(own)}" for name, own in value.items())
    elif isinstance(value, list | tuple):
        text = ", ".join(_short(own) for own in value)
    if len(text) > 40:
        return f"{text[:37]}..."
    return text
