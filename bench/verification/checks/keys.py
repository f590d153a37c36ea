"""The keys that say what may be compared: each hash is that of its fields, and the fields are those
of the record.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.records.keys import Key, identity_of, make_key, system_key
from bench.records.schema import Record
from bench.verification.evidence import Evidence
from bench.verification.finding import Code, Finding, Ledger, Place


def check(evidence: Evidence, ledger: Ledger) -> None:
    _records(evidence, ledger)
    for record in evidence.run.architectures.values():
        _hashes(f"architectures/{record.trial.id}.json", record.keys, ledger)
    for trial in evidence.trials:
        _hashes(trial.record_file, trial.record.keys, ledger)
        _quality(trial.record_file, trial.record, ledger)
        if evidence.digests is not None:
            # an older version names other fields of a system
            place = Place(trial.record_file, key="keys.system.hash")
            expected = system_key(identity_of(trial.record.description)).hash
            ledger.same(Code.KEY_HASH, place, expected, trial.record.keys["system"].hash)


def _records(evidence: Evidence, ledger: Ledger) -> None:
    """Compare the records on disk with the trials that run.json says were measured."""
    measured = {trial.record_file for trial in evidence.trials}
    for path in sorted((evidence.folder / "records").glob("*.json")):
        name = path.relative_to(evidence.folder).as_posix()
        ledger.compared += 1
        if name not in measured:
            ledger.findings.append(Finding(Code.NO_TRIAL, Place(name)))


def _hashes(file: str, keys: Mapping[str, Key], ledger: Ledger) -> None:
    """Compare each hash with that of the fields next to it, and with its copy in the speed key."""
    for name, key in keys.items():
        place = Place(file, key=f"keys.{name}.hash")
        ledger.same(Code.KEY_HASH, place, make_key(key.fields).hash, key.hash)
    speed = keys.get("speed")
    if speed is None:
        return
    for name in ("quality", "system"):
        if name in keys and name in speed.fields:
            place = Place(file, key=f"keys.speed.fields.{name}")
            ledger.same(Code.KEY_FIELD, place, keys[name].hash, speed.fields[name])


def _quality(file: str, record: Record, ledger: Ledger) -> None:
    """Compare the fields of the quality key with the record's own."""
    key = record.keys["quality"]
    own: dict[str, Any] = {
        "candidates": record.candidates.get("hash"),
        "depth": record.trial.depth,
        "template": record.dataset.get("template"),
        "min_relevance": record.dataset.get("min_relevance"),
    }
    for name, expected in own.items():
        if expected is not None and name in key.fields:
            place = Place(file, key=f"keys.quality.fields.{name}")
            ledger.same(Code.KEY_FIELD, place, expected, key.fields[name])
    if "measures" in key.fields:
        place = Place(file, key="keys.quality.fields.measures")
        written = ", ".join(map(str, key.fields["measures"]))
        ledger.same(Code.KEY_FIELD, place, ", ".join(record.quality), written)
    facts: Mapping[str, Any] = record.dataset
    identity = key.fields.get("dataset")
    if not isinstance(identity, Mapping):
        return
    for name, value in identity.items():
        if name in facts:
            place = Place(file, key=f"keys.quality.fields.dataset.{name}")
            ledger.same(Code.KEY_FIELD, place, facts[name], value)
