"""Notes as the sentences that a reader sees."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from bench.core.note import Code, read_notes
from bench.core.wording import sentences


def said(notes: Iterable[Any]) -> list[str]:
    """Return notes, as they are or from JSON, in words."""
    return sentences(read_notes(list(notes)))


def counts(notes: Iterable[Any]) -> dict[Code, float]:
    """Return the codes of notes, as they are or from JSON, in their order, each with its count."""
    return {note.code: note.count for note in read_notes(list(notes))}
