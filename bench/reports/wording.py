"""What the notes of rows say in a report, and which of them keep a row out of a verdict."""

from __future__ import annotations

from collections.abc import Sequence

from bench.core.counting import percent
from bench.core.note import Code, Note
from bench.core.wording import worded
from bench.records.points import Point
from bench.records.rows import DOUBTS, Row

OUT_OF_VERDICT = (*DOUBTS.values(), Code.MOSTLY_FAILED)
NOT_IN_VERDICT = ", not in the verdict"
"""Follows the name of a row that leads no verdict."""
RANDOM = worded(Note(Code.RANDOM_WEIGHTS))

DOUBTS_IN_SHORT = {
    Code.RANDOM_WEIGHTS: "random weights",
    Code.OTHER_CANDIDATES: "other candidates",
}


def doubt_of(point: Point) -> str:
    """Return in two words why the order of a point means nothing."""
    return DOUBTS_IN_SHORT[point.doubts[0].code]


def notes_on(members: Sequence[Row]) -> list[tuple[Sequence[Row], str]]:
    """Return every note of these rows once, in their order, with the rows that it is about. Shares
    of judged documents are one note, from the lowest to the highest.
    """
    judged = _few_judged(members)
    rows_of: dict[str, list[Row]] = {}
    for row in members:
        for note in row.notes:
            text = worded(note)
            if note.code == Code.FEW_JUDGED:
                text = judged
            rows_of.setdefault(text, []).append(row)
    return [(about, text) for text, about in rows_of.items()]


def _few_judged(members: Sequence[Row]) -> str:
    """Return what the notes on few judged documents say together; empty where there is none."""
    shares: list[float] = []
    for row in members:
        shares += [note.count for note in row.notes if note.code == Code.FEW_JUDGED]
    if not shares:
        return ""
    lowest, highest = (percent(value) for value in (min(shares), max(shares)))
    if lowest == highest:
        return worded(Note(Code.FEW_JUDGED, min(shares), 1))
    return worded(Note(Code.FEW_JUDGED, min(shares), 1, names={"highest": highest}))


def out_of_verdict(row: Row) -> str:
    """Return why a row leads no verdict: it did not run, most of its queries failed, or its order
    means nothing. Empty where it may lead one.
    """
    if row.status != "done":
        return f"{row.status}: {row.absence}"
    reasons = [worded(note) for note in row.notes if note.code in OUT_OF_VERDICT]
    if not row.quality:
        return next(reversed(reasons), "no quality was measured")
    return reasons[0] if row.meaningless and reasons else ""
