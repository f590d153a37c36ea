"""What a record says of the collections that the models of its row were trained on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bench.records.schema import ArchitectureRecord, Record


def seen_families(record: Record | ArchitectureRecord) -> list[str]:
    """Return the families of a record's collection that a model of its row was trained on."""
    facts = record.description.get("facts") or {}
    return _seen(record, facts.get("trained_on") or [])


def seen_by_stage(record: Record) -> list[list[str]]:
    """Return the same for each stage of a pipeline: of all models up to it. An older record says it
    of the whole alone, and so of the last stage.
    """
    facts = record.description.get("facts") or {}
    recorded: Any = facts.get("trained_on_by_stage") or []
    by_stage = [_seen(record, names) for names in recorded]
    if len(by_stage) == len(record.stages):
        return by_stage
    return [[] for _ in record.stages[1:]] + [seen_families(record)]


def _seen(record: Record | ArchitectureRecord, trained_on: Sequence[str]) -> list[str]:
    return [name for name in record.dataset.get("families") or [] if name in trained_on]


def is_unseen(record: Record) -> bool | None:
    """Return whether no model of a row was trained on its collection; None where that is not known
    of each of them, as in an older record.
    """
    if record.trial.is_oracle:
        return True
    if seen_families(record):
        return False
    facts = record.description.get("facts") or {}
    if "trained_on" not in facts or facts.get("training_unknown"):
        return None
    return True
