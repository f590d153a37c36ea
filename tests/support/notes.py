"""Notes by their codes: what they say in words is tested in tests/unit/test_wording.py."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from bench.core.note import Code, Note, read_notes


def noted(notes: Iterable[Any], code: Code) -> Note:
    """Return the one note of a code among notes, as they are or from JSON."""
    (note,) = [note for note in read_notes(list(notes)) if note.code == code]
    return note


def counts(notes: Iterable[Any]) -> dict[Code, float]:
    """Return the codes of notes, as they are or from JSON, in their order, each with its count."""
    return {note.code: note.count for note in read_notes(list(notes))}
