"""The mark of every document that shows a quality by judgments that a model made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from bench.core.wording import sentences
from bench.records.folder import RunFolder
from bench.records.judges import judge_notes
from bench.reports.document import Document, Paragraph, Section, Strong

FIELD = "judged_by"
"""The field of JSON, and the column of CSV, that says so."""


def judge_lines(*runs: RunFolder) -> list[str]:
    """Return a line per dataset of these runs that a model has judged."""
    return sentences(judge_notes(runs))


def marked(document: Document, *runs: RunFolder) -> Document:
    """Return a document about runs with what a model has judged of them, above everything else, in
    its data, its records and its checks; as it is where people have judged.
    """
    lines = judge_lines(*runs)
    if not lines:
        return document
    blocks = [Paragraph((Strong("Judged by a model."), f" {line}.")) for line in lines]
    section = Section("judges", "Judgments by a model", blocks, titled=False)
    checks = document.checks
    if checks is not None:
        checks = replace(checks, notes=[*checks.notes, *lines])
    return replace(
        document,
        sections=[section, *document.sections],
        data=_with_field(document.data, lines),
        records=[{**record, FIELD: "; ".join(lines)} for record in document.records],
        checks=checks,
    )


def _with_field(data: Any, lines: Sequence[str]) -> Any:
    """Return data with the field, in each of its members where it is a list of mappings."""
    if isinstance(data, dict):
        return {**data, FIELD: list(lines)}
    if isinstance(data, list):
        return [_with_field(item, lines) for item in data]
    return data
