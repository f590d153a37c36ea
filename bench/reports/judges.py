"""The mark of every document and picture that shows a quality by judgments that a model made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self, TypeVar

from bench.core.wording import sentences
from bench.records.folder import RunFolder
from bench.records.judges import judge_notes
from bench.reports.document import Document, Paragraph, Record, Section, Strong

if TYPE_CHECKING:
    import pandas as pd

Item = TypeVar("Item")
MARK = "Judged by a model."
FIELD = "judged_by"
"""The field of JSON, and the column of CSV, that says so."""


def judge_lines(*runs: RunFolder, dataset: str | None = None) -> list[str]:
    """Return a line per dataset of these runs that a model has judged, or that of one of them."""
    notes = judge_notes(runs)
    return sentences(about for about in notes if dataset is None or about.where == dataset)


class Marked(list[Item]):
    """Rows about a run, which a notebook shows as the command prints them: where a model has judged
    the run, it says so.
    """

    runs: Sequence[RunFolder] = ()

    def about(self, run: RunFolder) -> Self:
        """Take the run that the rows are about, and return them."""
        self.runs = (run,)
        return self

    def document(self) -> Document:
        raise NotImplementedError

    def to_frame(self) -> pd.DataFrame:
        """Return a row per record of the document."""
        return frame(self.document().records, *self.runs)

    def _repr_html_(self) -> str:
        from bench.reports.renderers.html import fragment

        return fragment(marked(self.document(), *self.runs))


def marked(document: Document, *runs: RunFolder) -> Document:
    """Return a document about runs with what a model has judged of them, above everything else, in
    its data, its records and its checks; as it is where people have judged.
    """
    return judged_by(document, judge_lines(*runs))


def frame(records: Sequence[Record], *runs: RunFolder) -> pd.DataFrame:
    """Return records about runs as a table; where a model has judged these, a column says so."""
    import pandas as pd

    return pd.DataFrame(_marked_records(records, judge_lines(*runs)))


def judged_by(document: Document, lines: Sequence[str]) -> Document:
    """Return a document with a line per dataset that a model has judged; as it is without any."""
    if not lines:
        return document
    blocks = [Paragraph((Strong(MARK), f" {line}.")) for line in lines]
    section = Section("judges", "Judgments by a model", blocks, titled=False)
    checks = document.checks
    if checks is not None:
        checks = replace(checks, notes=[*checks.notes, *lines])
    return replace(
        document,
        sections=[section, *document.sections],
        data=_with_field(document.data, lines),
        records=_marked_records(document.records, lines),
        checks=checks,
    )


def _marked_records(records: Sequence[Record], lines: Sequence[str]) -> list[Record]:
    """Return records with the field, where there is a line to say."""
    if not lines:
        return list(records)
    return [{**record, FIELD: "; ".join(lines)} for record in records]


def _with_field(data: Any, lines: Sequence[str]) -> Any:
    """Return data with the field, in each of its members where it is a list of mappings."""
    if isinstance(data, dict):
        return {**data, FIELD: list(lines)}
    if isinstance(data, list):
        return [_with_field(item, lines) for item in data]
    return data
