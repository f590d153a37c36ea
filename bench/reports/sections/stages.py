"""A group's pipelines stage by stage: quality after each stage, what each cut lost, and the time of
each.
"""

from __future__ import annotations

from collections.abc import Sequence

from bench.core.wording import worded
from bench.quality.measures import JUDGED
from bench.records import rows as records
from bench.records.rows import GroupKey
from bench.records.schema import StageRecord
from bench.reports import cells
from bench.reports.document import Block, Column, Heading, Paragraph, Row, Section, Table
from bench.reports.findings import median_ms
from bench.reports.names import name_of
from bench.reports.view import View

EXPLANATION = (
    "Quality is of the order as it stands after each stage: documents that a stage did not see "
    "keep their place below those that it saw. Recall is of the documents that it hands on, and "
    "lost is what of it the cut took, both over the queries that the stage answered. Times are "
    "medians: of a stage's span (where it is made of others, with theirs), and last of the whole "
    "pipeline, in other calls: the stages need not add up to it."
)
IN_ALL = "in all"


def stages(view: View) -> Section | None:
    """Return a table of each pipeline, by group."""
    tables = {group: _tables(view, group) for group in view.groups}
    text = EXPLANATION
    if view.shared_pairs is not None:
        text += f" Of the run, {worded(view.shared_pairs)}."
    explanation = Paragraph((text,), quiet=True)
    return view.section("stages", "Pipelines stage by stage", tables, explanation)


def _tables(view: View, group: GroupKey) -> list[Block]:
    """Return a table of each pipeline under its name: in each line of one, a long name would leave
    a terminal no room for numbers.
    """
    pipelines = [row for row in view.groups[group] if row.stages]
    if not pipelines:
        return []
    measures = [name for name in pipelines[0].stages[0].quality if name != JUDGED]
    columns = [
        Column("keep", "hands on", "documents per query, at most", priority=2),
        *(_measure(name, name == measures[0]) for name in measures),
        Column("before", "recall in", "of what it gets", better="higher", priority=5),
        Column("recall", "recall", "of what it hands on", better="higher", priority=3),
        Column("lost", "lost", "recall that the cut took", better="lower", priority=2),
        Column("p50", "p50 ms", "median milliseconds", better="lower", priority=2),
    ]
    blocks: list[Block] = []
    for row in pipelines:
        each = zip(row.stages, row.seen_by_stage, strict=True)
        lines = [_row(row, stage, seen) for stage, seen in each]
        lines.append(_in_all(row, lines[-1]))
        name = name_of(row.trial)
        caption = f"{name} stage by stage, {view.title(group)}"
        blocks += [Heading(name, level=4), Table("stage", columns, lines, caption)]
    return blocks


def _measure(name: str, is_headline: bool) -> Column:
    return Column(name, name, better="higher", priority=1 if is_headline else 4)


def _row(row: records.Row, stage: StageRecord, seen: Sequence[str]) -> Row:
    by_column = {
        "keep": cells.count(stage.keep),
        "before": cells.mean(stage.recall_before),
        "recall": cells.mean(stage.recall),
        "lost": cells.mean(stage.lost),
        "p50": cells.duration(_milliseconds(row, stage)),
    }
    for measure, estimate in stage.quality.items():
        by_column[measure] = cells.seen(cells.measure(estimate), seen)
    return Row(stage.name, by_column)


def _in_all(row: records.Row, last: Row) -> Row:
    """Return what the whole pipeline gives: the quality after its last stage, the time of all."""
    by_column = {
        **last.cells,
        "before": cells.missing(),
        "lost": cells.missing(),
        "p50": cells.duration(median_ms(row)),
    }
    return Row(IN_ALL, by_column)


def _milliseconds(row: records.Row, stage: StageRecord) -> float | None:
    """Return the median of a stage's span, with those of its parts; None where none was taken."""
    for pieces in row.parts.values():
        if stage.name in pieces:
            return pieces[stage.name] + sum(pieces.get(part, 0.0) for part in stage.spans)
    return None
