"""Harmless text that answers no question."""

from __future__ import annotations

from itertools import cycle, islice

_TEXT = (
    "Over several quiet weeks nothing much happened here, and everybody went about their usual "
    "affairs. Mornings were mild, evenings came early, and a light wind moved across open fields. "
    "Somebody whistled, somebody laughed, a door closed far away, and then it was silent again."
)


def filler(words: int) -> str:
    """Return harmless text of some words."""
    return " ".join(islice(cycle(_TEXT.split()), words))


def filler_as_long(text: str) -> str:
    """Return harmless text with as many characters as another text has."""
    return filler(len(text))[: len(text)]
