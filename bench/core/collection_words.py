"""The sentences of notes about a collection and its judgments."""

from __future__ import annotations

from bench.core.counting import counted
from bench.core.note import Note
from bench.core.phrases import more, named


def other_script(note: Note) -> str:
    advice = f"set stemmer to {named(note, 'others')}"
    if languages := note.names.get("languages"):
        advice = f"set language to {languages}, or stemmer to null"
    return (
        f"most letters of the queries are {named(note, 'script')}, which the stemmer "
        f"'{named(note, 'stemmer')}' cannot read: {advice}"
    )


def judged_by_model(note: Note) -> str:
    """Return who judged, and whether a person has checked it."""
    words = [
        f"{note.count:.0f} of {counted(note.total, 'judgment')} are by a model, "
        f"{named(note, 'model')} (prompt {named(note, 'prompt')})"
    ]
    if pairs := note.names.get("pairs"):
        words.append(f"a person agrees with kappa {named(note, 'kappa')} on {pairs} pairs")
    else:
        words.append("no person has checked it")
    if relatives := note.names.get("relatives"):
        words.append(f"it is of the family of {relatives}, and was insisted upon")
    if note.names.get("changed"):
        words.append("the file was changed since")
    return "; ".join(words)


def unknown_queries(note: Note) -> str:
    return f"queries that have judgments but no text, left out{more(note)}: {note.count:.0f}"


def unknown_documents(note: Note) -> str:
    about = f"of {note.total:.0f}; they stay in the qrels, as in trec_eval"
    return (
        f"judged documents that are not in the collection ({about}){more(note)}: {note.count:.0f}"
    )
