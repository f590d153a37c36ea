"""What must agree before two records may be compared: three keys, each a hash over named fields
that are stored beside it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from bench.contract.identity import Fields, Identity
from bench.core.digest import short_digest
from bench.core.options import Options, deciding
from bench.core.version import version_of

MEASURES = "measures"
"""The field of a quality key in which earlier versions named what they computed of the rankings. It
changes no value of another measure.
"""


class Key(Options):
    """A hash and the fields behind it, so that a mismatch can be named."""

    hash: str
    fields: dict[str, Any]

    def differing(self, other: Key) -> list[str]:
        """The names of the fields that differ, nested ones as `outer.inner`."""
        return _differing(self.fields, other.fields)

    def value(self, name: str) -> Any:
        """The field that `differing` calls `name`, None where there is none."""
        value: Any = self.fields
        for step in name.split("."):
            if not isinstance(value, Mapping):
                return None
            value = value.get(step)
        return value


def make_key(fields: Mapping[str, Any]) -> Key:
    """A key over plain data. Equal data give equal hashes, whatever the order of the fields."""
    text = json.dumps(fields, sort_keys=True, default=str)
    return Key(hash=short_digest(fields), fields=json.loads(text))


def question_key(quality: Key) -> Key:
    """Return a quality key without the measures that earlier versions have in it: numbers of one
    measure are comparable whichever others a run has.
    """
    if MEASURES not in quality.fields:
        return quality
    return make_key({name: quality.fields[name] for name in quality.fields if name != MEASURES})


def quality_key(
    dataset: Mapping[str, Any],
    candidates_hash: str,
    depth: int,
    template: str,
    min_relevance: int,
    tie_rule: str,
) -> Key:
    """Same questions, same candidates, same texts, same yardstick, whatever is measured by it."""
    return make_key(
        {
            "dataset": dict(dataset),
            "candidates": candidates_hash,
            "depth": depth,
            "template": template,
            "min_relevance": min_relevance,
            "ir_measures": version_of("ir-measures"),
            "tie_rule": tie_rule,
        }
    )


def identity_of(description: Mapping[str, Any]) -> Identity:
    """Return the identity that a description holds, of a loaded reranker or of a record."""
    fields = {"backend": description.get("backend"), **(description.get("identity") or {})}
    return Identity.read(fields, description.get("facts"))


def system_key(identity: Identity) -> Key:
    """Return the key of the same reranker: what decides its scores, as it loaded."""
    return make_key(identity.fields())


def speed_key(
    quality: Key,
    system: Key,
    machine: Mapping[str, Any],
    plan: Mapping[str, Any],
    settings: Mapping[str, Any],
) -> Key:
    """Return the key of the same work by the same reranker on the same hardware under the same
    plan. `settings` are of `speed_settings`.
    """
    return make_key(
        {
            "quality": quality.hash,
            "system": system.hash,
            "machine": dict(machine),
            "plan": dict(plan),
            "settings": dict(settings),
        }
    )


def speed_settings(options: BaseModel, facts: Mapping[str, Any]) -> Fields:
    """Return device, attention kernel, and the options that decide speed and not scores: each as it
    loaded, where the facts of a description say so, else as it was asked for.
    """
    settings = {"device": facts.get("device"), "attention": facts.get("attention")}
    for name, value in deciding(options, "speed").items():
        settings[name] = facts.get(name, value)
    return settings


def _differing(mine: Mapping[str, Any], other: Mapping[str, Any], prefix: str = "") -> list[str]:
    names: list[str] = []
    for name in sorted({*mine, *other}):
        left, right = mine.get(name), other.get(name)
        if isinstance(left, Mapping) and isinstance(right, Mapping):
            names += _differing(left, right, f"{prefix}{name}.")
        elif left != right:
            names.append(f"{prefix}{name}")
    return names
