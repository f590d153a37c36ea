"""Relevant documents that a pipeline lost, one by one, the highest graded first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from bench.core.printable import one_line
from bench.quality.losses import SHOWN, Loss
from bench.records.rows import Row as RecordRow
from bench.reports import cells
from bench.reports.document import Block, Column, Fold, Row, Table
from bench.reports.names import name_of
from bench.reports.view import View

TITLE = "relevant documents lost, the highest graded first"
BEGINNING = 80
"""Characters of a document: where the collection has titles, it begins with its own."""
WORDS: Mapping[Loss, str] = {
    Loss.NOT_RETRIEVED: "not retrieved",
    Loss.CUT: "cut",
    Loss.RANKED_BELOW: "ranked below",
    Loss.FAILED: "failed",
}
COLUMNS = (
    Column("document", "document", align="left", priority=0),
    Column("beginning", "begins with", align="left", priority=3),
    Column("grade", "grade", priority=2),
    Column("stage", "lost by", align="left", priority=1),
    Column("loss", "how", align="left", priority=1),
)


class LostDocument(NamedTuple):
    """A relevant document that is missing from the top of a ranking."""

    query_id: str
    doc_id: str
    grade: int
    stage: str
    loss: Loss


def lost_documents(view: View, pipelines: Sequence[RecordRow]) -> list[Block]:
    """Return, per pipeline of a group, a table of some of what it lost, folded. Texts are shown
    where the run keeps them.
    """
    by_trial = {row.trial.id: _highest_graded(view, row) for row in pipelines}
    wanted: set[tuple[str, str]] = set()
    for row in pipelines:
        wanted |= {(row.trial.dataset, lost.doc_id) for lost in by_trial[row.trial.id]}
    texts = view.run.document_texts(wanted) if wanted else {}
    folds: list[Block] = []
    for row in pipelines:
        documents = by_trial[row.trial.id]
        if documents:
            summary = (f"{name_of(row.trial)}: {TITLE}",)
            table = _table(row, documents, _queries(view, row.trial.dataset), texts)
            folds.append(Fold(summary, [table], style="inner"))
    return folds


def _highest_graded(view: View, row: RecordRow) -> list[LostDocument]:
    """Return what a pipeline lost of the highest grades, in the order of the queries."""
    losses, judged = view.run.losses, view.run.judgments
    own = losses[losses["trial"] == row.trial.id].astype(str)
    graded = judged[judged["dataset"] == row.trial.dataset]
    rows = own.merge(graded, left_on=["query", "doc_id"], right_on=["query", "document"])
    rows = rows.sort_values("grade", ascending=False, kind="stable").head(SHOWN)
    columns = (rows[name] for name in ("query", "doc_id", "grade", "stage", "loss"))
    return [
        LostDocument(query_id, doc_id, int(grade), stage, Loss(loss))
        for query_id, doc_id, grade, stage, loss in zip(*columns, strict=True)
    ]


def _queries(view: View, dataset: str) -> dict[str, str]:
    """Return the texts of a dataset's queries, where the run keeps them."""
    queries = view.run.queries[view.run.queries["dataset"] == dataset]
    return dict(zip(queries["query"], queries["text"], strict=True))


def _table(
    row: RecordRow,
    documents: Sequence[LostDocument],
    queries: Mapping[str, str],
    texts: Mapping[tuple[str, str], str],
) -> Table:
    lines: list[Row] = []
    for lost in documents:
        by_column = {
            "document": cells.text(lost.doc_id),
            "grade": cells.count(lost.grade),
            "stage": cells.text(lost.stage),
            "loss": cells.text(WORDS[lost.loss]),
        }
        text = texts.get((row.trial.dataset, lost.doc_id))
        if text:
            by_column["beginning"] = cells.text(_beginning(text))
        name = one_line(queries.get(lost.query_id) or lost.query_id)
        lines.append(Row(name, by_column, id=lost.query_id))
    columns = [column for column in COLUMNS if any(column.key in line.cells for line in lines)]
    caption = f"{TITLE}, {name_of(row.trial)}"
    return Table("query", columns, lines, caption, style="moved")


def _beginning(text: str) -> str:
    line = one_line(text)
    if len(line) <= BEGINNING:
        return line
    return f"{line[: BEGINNING - 1].rstrip()}…"
