"""The words of every note, by its code."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from bench.contract.note import Code, Note
from bench.core.counting import counted, times
from bench.records.rows import DOUBTS, Row

OUT_OF_VERDICT = (*DOUBTS.values(), Code.MOSTLY_FAILED)
RANDOM = "random weights: the order means nothing"
ELSEWHERE = (
    "a run over other candidates than these, left out of the verdict: `first_stage: NAME` binds "
    "it to its own first stage, and as an entry of first_stages it is measured over its own "
    "candidates"
)


def worded(note: Note) -> str:
    """Return a note as a sentence."""
    return WORDS[note.code](note)


def notes_on(members: Sequence[Row]) -> list[tuple[Sequence[Row], str]]:
    """Return every note of these rows once, in their order, with the rows that it is about."""
    rows_of: dict[str, list[Row]] = {}
    for row in members:
        for note in row.notes:
            rows_of.setdefault(worded(note), []).append(row)
    return [(about, text) for text, about in rows_of.items()]


def out_of_verdict(row: Row) -> str:
    """Return why a row leads no verdict: it did not run, most of its queries failed, or its order
    means nothing. Empty where it may lead one.
    """
    if row.status != "done":
        return f"{row.status}: {row.reason or 'no reason given'}"
    reasons = [worded(note) for note in row.notes if note.code in OUT_OF_VERDICT]
    if not row.quality:
        return next(reversed(reasons), "no quality was measured")
    return reasons[0] if row.meaningless and reasons else ""


def _share(note: Note) -> str:
    return f"{note.count / note.total:.0%}"


def _failed(note: Note) -> str:
    return f"{note.count:.0f} of {counted(note.total, 'query')} failed"


def _judged(note: Note) -> str:
    return f"only {_share(note)} of the top 10 is judged: unjudged documents count as not relevant"


def _beyond(note: Note) -> str:
    scores = counted(note.count, "score")
    return f"{scores} beyond single precision: the run file holds the nearest that keep the order"


def _halvings(note: Note) -> str:
    return (
        f"the accelerator's memory was full {times(note.count)}: batches were halved until they "
        "fitted"
    )


def _cut_answers(note: Note) -> str:
    return (
        f"{_share(note)} of the answers were cut off at the length limit: answer_tokens is too low"
    )


WORDS: Mapping[Code, Callable[[Note], str]] = {
    Code.RANDOM_WEIGHTS: lambda note: RANDOM,
    Code.OTHER_CANDIDATES: lambda note: ELSEWHERE,
    Code.MOSTLY_FAILED: lambda note: (
        f"{_failed(note)}: no quality is concluded from the rest (e.g. {note.text})"
    ),
    Code.FAILED: lambda note: f"{_failed(note)} and score 0 (e.g. {note.text})",
    Code.FEW_JUDGED: _judged,
    Code.TIES: lambda note: f"{note.count:.0f} of {counted(note.total, 'document')} tie in score",
    Code.BEYOND_SINGLE_PRECISION: _beyond,
    Code.TRUNCATED: lambda note: f"{_share(note)} of the pairs were cut at max length",
    Code.CUT_QUERIES: lambda note: f"{times(note.count)} a query was too long and was cut as well",
    Code.REPAIRS: lambda note: (
        f"{_share(note)} of the answers were no complete order and had to be mended"
    ),
    Code.HALVINGS: _halvings,
    Code.CUT_ANSWERS: _cut_answers,
    Code.SPLIT_REQUESTS: lambda note: (
        f"{times(note.count)} a request was too large for the service and was sent in halves"
    ),
    Code.BLANKS: lambda note: (
        f"not sent, and ranked behind all others: {counted(note.count, 'document')} without text"
    ),
    Code.NO_RANKING: lambda note: (
        "its ranking is not in the run folder: none of its documents is shown"
    ),
    Code.UNTIMED: lambda note: "not timed: a reference, for its ranking only",
    Code.TEXT: lambda note: note.text,
}
