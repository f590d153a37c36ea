"""What must agree before two records may be compared: three keys, each a hash over named fields
that are stored beside it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from bench.core.options import Options


class Key(Options):
    """A hash and the fields behind it, so that a mismatch can be named."""

    hash: str
    fields: dict[str, Any]

    def differing(self, other: Key) -> list[str]:
        """The names of the fields that differ, nested ones as `outer.inner`."""
        return _differing(self.fields, other.fields)

    def value(self, name: str) -> Any:
        """The field that `differing` calls `name`, None where there is none."""
        found: Any = self.fields
        for step in name.split("."):
            found = found.get(step) if isinstance(found, Mapping) else None
        return found


def make_key(fields: Mapping[str, Any]) -> Key:
    """A key over plain data. Equal data give equal hashes, whatever the order of the fields."""
    text = json.dumps(fields, sort_keys=True, default=str)
    return Key(hash=hashlib.sha256(text.encode()).hexdigest()[:16], fields=json.loads(text))


def quality_key(
    dataset: Mapping[str, Any],
    candidates_hash: str,
    depth: int,
    template: str,
    measures: list[str],
    min_relevance: int,
    tie_rule: str,
) -> Key:
    """Same questions, same candidates, same texts, same yardstick."""
    from importlib.metadata import version

    return make_key(
        {
            "dataset": dict(dataset),
            "candidates": candidates_hash,
            "depth": depth,
            "template": template,
            "measures": measures,
            "min_relevance": min_relevance,
            "ir_measures": version("ir-measures"),
            "tie_rule": tie_rule,
        }
    )


def system_key(description: Mapping[str, Any]) -> Key:
    """Same reranker: what decides its scores, as it said when it had loaded."""
    return make_key({"backend": description.get("backend"), **description.get("identity", {})})


def speed_key(
    quality: Key,
    system: Key,
    machine: Mapping[str, Any],
    plan: Mapping[str, Any],
    facts: Mapping[str, Any],
) -> Key:
    """Same work by the same reranker on the same hardware under the same plan."""
    settings = {
        name: facts.get(name)
        for name in ("device", "batch_size", "token_budget", "attention", "threads", "concurrency")
    }
    return make_key(
        {
            "quality": quality.hash,
            "system": system.hash,
            "machine": dict(machine),
            "plan": dict(plan),
            "settings": settings,
        }
    )


def _differing(mine: Mapping[str, Any], other: Mapping[str, Any], prefix: str = "") -> list[str]:
    names: list[str] = []
    for name in sorted({*mine, *other}):
        left, right = mine.get(name), other.get(name)
        if isinstance(left, Mapping) and isinstance(right, Mapping):
            names += _differing(left, right, f"{prefix}{name}.")
        elif left != right:
            names.append(f"{prefix}{name}")
    return names
