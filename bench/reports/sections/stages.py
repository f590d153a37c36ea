"""A group's pipelines stage by stage: quality after each stage, what each cut lost, and the time of
each.
"""

from __future__ import annotations

from collections.abc import Sequence

from bench.quality.measures import JUDGED
from bench.records import rows as records
from bench.records.rows import GroupKey
from bench.records.schema import StageRecord
from bench.reports import cells
from bench.reports.cells import Cell
from bench.reports.document import Block, Column, Paragraph, Row, Section, Table
from bench.reports.findings import one_query
from bench.reports.names import device_of
from bench.reports.view import View

EXPLANATION = (
    "Quality is of the order as it stands after each stage: documents that a stage did not see "
    "keep their place below those that it saw. Recall is of the documents that it hands on, and "
    "lost is what of it the cut took. Times are medians: of a stage's span, and last of the whole "
    "pipeline."
)
IN_ALL = "in all"


def stages(view: View) -> Section | None:
    """Return a table of the pipelines of each group."""
    by_group: list[tuple[GroupKey, Sequence[Block]]] = []
    for group, members in view.groups.items():
        pipelines = [row for row in members if row.stages]
        if pipelines:
            by_group.append((group, [_table(pipelines, view.title(group))]))
    if not by_group:
        return None
    blocks = [Paragraph((EXPLANATION,), quiet=True), *view.parts(by_group)]
    return Section("stages", "Pipelines stage by stage", blocks)


def _table(pipelines: Sequence[records.Row], title: str) -> Table:
    measures = [name for name in pipelines[0].stages[0].quality if name != JUDGED]
    columns = [
        Column("stage", "stage", align="left", priority=0),
        Column("keep", "hands on", "documents per query, at most", priority=2),
        *(
            Column(name, name, better="higher", priority=1 if name == measures[0] else 4)
            for name in measures
        ),
        Column("recall", "recall", "of what it hands on", better="higher", priority=3),
        Column("lost", "lost", "recall that the cut took", better="lower", priority=2),
        Column("p50", "p50 ms", "median milliseconds", better="lower", priority=2),
    ]
    lines: list[Row] = []
    for row in pipelines:
        for stage in row.stages:
            lost = cells.mean(stage.lost)
            lines.append(_row(row, stage.name, stage, lost, _milliseconds(row, stage.name)))
        summary = one_query(row)
        whole = summary.p50_ms if summary else None
        lines.append(_row(row, IN_ALL, row.stages[-1], cells.missing(), whole))
    return Table("pipeline", columns, lines, f"pipelines stage by stage, {title}")


def _row(row: records.Row, name: str, stage: StageRecord, lost: Cell, ms: float | None) -> Row:
    by_column = {
        "stage": cells.text(name),
        "keep": cells.count(stage.keep),
        "recall": cells.mean(stage.recall),
        "lost": lost,
        "p50": cells.duration(ms),
    }
    for measure, estimate in stage.quality.items():
        by_column[measure] = cells.measure(estimate)
    return Row(row.name, by_column, device_of(row.trial), mark=None)


def _milliseconds(row: records.Row, stage: str) -> float | None:
    """Return the median of a stage's span, None where none was taken."""
    for pieces in row.parts.values():
        if stage in pieces:
            return pieces[stage]
    return None
