"""What a record says of the collections that the models of its row were trained on."""

from __future__ import annotations

from bench.records.schema import ArchitectureRecord, Record


def seen_families(record: Record | ArchitectureRecord) -> list[str]:
    """Return the families of a record's collection that a model of its row was trained on."""
    facts = record.description.get("facts") or {}
    trained_on = facts.get("trained_on") or []
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
