"""Where the numbers come from: the machine, what loaded, the data, the keys, and how to run it
again.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.core.counting import candidates
from bench.core.redaction import without_places
from bench.records.run import Run
from bench.records.schema import Record

Facts = Mapping[str, str]


@dataclass(frozen=True)
class TrialFacts:
    """What one trial ran with: `keys` are name -> (hash, the fields behind it as text)."""

    name: str
    loaded: Facts
    timing: Facts
    keys: Mapping[str, tuple[str, str]]


@dataclass(frozen=True)
class GroupFacts:
    """What the trials of a group share, and each of them."""

    title: str
    data: Facts
    trials: Sequence[TrialFacts]


def environment(run: Run) -> Facts:
    """The machine and its libraries, as flat facts; what the system did not tell is left out."""
    machine = dict(run.info.environment)
    libraries = machine.pop("libraries", None) or {}
    return {
        **flat(machine),
        **{name: str(version) for name, version in libraries.items() if version},
    }


def groups(run: Run) -> list[GroupFacts]:
    """Per dataset and first stage: identity, hashes, how the candidates were made; then its
    trials.
    """
    by_group: dict[str, list[Record]] = {}
    for record in run.records.values():
        trial = record.trial
        depth = candidates(trial.depth, record.candidates.get("longest"))
        by_group.setdefault(f"{trial.dataset} · {trial.first_stage} · {depth}", []).append(record)
    return [
        GroupFacts(title, _data(records[0]), [_trial(record) for record in records])
        for title, records in by_group.items()
    ]


def resolved_yaml(run: Run) -> str:
    """The suite with every default, as a file that `rerank-bench run` takes."""
    import yaml

    resolved = without_places(run.info.resolved)
    return str(yaml.safe_dump(resolved, sort_keys=False, allow_unicode=True, width=100))


def flat(facts: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested facts as one level of name -> text; bytes are told in GiB, and empty ones left out."""
    found: dict[str, str] = {}
    for key, value in facts.items():
        name = f"{prefix}{str(key).replace('_', ' ')}"
        if isinstance(value, Mapping):
            found |= flat(value, f"{name}: ")
        elif value is None or value == "" or value == []:
            continue
        elif str(key).endswith("_bytes") and isinstance(value, int):
            found[name.removesuffix(" bytes")] = f"{value / 2**30:.2f} GiB"
        else:
            found[name] = _told(value)
    return found


def _data(record: Record) -> Facts:
    noted = ("ties", "failed", "beyond_single_precision")
    counts = {
        name.replace("_", " "): str(value)
        for name, value in record.counts.model_dump().items()
        if name not in noted
    }
    return {**flat(record.dataset), **flat(record.candidates, "candidates: "), **counts}


def _trial(record: Record) -> TrialFacts:
    trial = record.trial
    name = trial.reranker if trial.device == "-" else f"{trial.reranker} ({trial.device})"
    description = record.description
    loaded = {
        **flat({"backend": description.get("backend")}),
        **flat(description.get("identity") or {}),
        **flat(description.get("facts") or {}),
        **{f"usage: {key}": value for key, value in flat(record.usage).items()},
    }
    timing = flat({key: value for key, value in (record.latency or {}).items() if key != "notes"})
    keys = {
        key: (found.hash, json.dumps(found.fields, indent=1, ensure_ascii=False))
        for key, found in record.keys.items()
    }
    return TrialFacts(name, loaded, timing, keys)


def _told(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, str | int):
        return str(without_places(value))
    if isinstance(value, Iterable):
        return ", ".join(map(_told, value))
    return str(value)
