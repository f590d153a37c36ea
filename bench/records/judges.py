"""Who judged what a run was measured by, where it was a model."""

from __future__ import annotations

from collections.abc import Iterable

from bench.core.errors import RecordError
from bench.core.note import Code, Note
from bench.core.wording import worded
from bench.datasets.base import Dataset
from bench.datasets.provenance import JudgeFacts
from bench.records.folder import RunFolder
from bench.records.schema import ArchitectureRecord, Record


def judge_note(record: Record | ArchitectureRecord) -> Note | None:
    """Return that the judgments of a record's dataset are by a model, and how far a person agrees;
    None where people made them.
    """
    facts: JudgeFacts | None = record.dataset.get("judge")
    if not facts:
        return None
    return note_of(facts)


def note_of(facts: JudgeFacts) -> Note:
    """Return what a record says of judgments by a model as a note."""
    names: dict[str, str] = {
        "model": facts.get("model", "?"),
        "prompt": facts.get("prompt", "?"),
    }
    if facts.get("reviewed"):
        kappa = facts.get("kappa")
        names["pairs"] = str(facts["reviewed"])
        names["kappa"] = "?" if kappa is None else f"{kappa:.2f}"
    if facts.get("insisted"):
        names["relatives"] = ", ".join(facts["insisted"])
    if facts.get("changed"):
        names["changed"] = "yes"
    judged, judgments = facts.get("judged", 0), facts.get("judgments", 0)
    return Note(Code.JUDGED_BY_MODEL, judged, judgments, names=names)


def judge_line(dataset: Dataset) -> str:
    """Return who judged a dataset, as a sentence with its name; empty where people did."""
    if dataset.judge is None:
        return ""
    return worded(note_of(dataset.judge).at(dataset.id))


def judge_notes(runs: Iterable[RunFolder]) -> list[Note]:
    """Return the notes of the datasets of runs that a model has judged, each once and with the name
    of its dataset.
    """
    notes: dict[Note, None] = {}
    for run in runs:
        for record in run.records.values():
            own = judge_note(record)
            if own is not None:
                notes[own.at(record.trial.dataset)] = None
    return list(notes)


def is_unjudged(record: Record | ArchitectureRecord) -> bool:
    """Return whether nobody has judged a record's dataset yet, so that nothing was measured."""
    return record.dataset.get("judgments") == 0


def refuse_unjudged(run: RunFolder) -> None:
    """Raise RecordError where nobody has judged a run's datasets yet."""
    if run.records and all(map(is_unjudged, run.records.values())):
        raise RecordError(
            f"{run.folder}: nobody has judged its queries yet, and nothing was measured: "
            "`rerank-bench judge` makes judgments"
        )
