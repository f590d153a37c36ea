"""What the marks of rows say that were measured on what their models were trained on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bench.comparison.pairs import Side
from bench.core.note import Code, Note
from bench.core.wording import worded
from bench.reports.names import name_of


def training_notes(rows: Iterable[tuple[str, Sequence[str]]]) -> list[str]:
    """Return a line per set of families, with the names of the rows that it marks. `rows` are
    names with the families of the collection that a model of the row was trained on.
    """
    names: dict[str, dict[str, None]] = {}
    for name, families in rows:
        if families:
            names.setdefault(", ".join(families), {})[name] = None
    return [
        f"{', '.join(own)}: {worded(Note(Code.TRAINED_ON, text=text))}"
        for text, own in names.items()
    ]


def notes_of_pairs(pairs: Iterable[tuple[Side, Side]]) -> list[str]:
    """Return those lines on rows and their baselines."""
    rows: list[tuple[str, Sequence[str]]] = []
    for pair in pairs:
        rows += [(name_of(side.trial), side.seen) for side in pair]
    return training_notes(rows)
