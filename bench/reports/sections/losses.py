"""Where relevant documents are lost: a table of each group's rows, stage by stage, and a picture
of each pipeline.
"""

from __future__ import annotations

from collections.abc import Sequence

from bench.core.counting import counted
from bench.records import rows as records
from bench.records.losses import LossRecord, StageLosses
from bench.records.rows import GroupKey
from bench.reports import cells
from bench.reports.charts import flow
from bench.reports.document import (
    Block,
    Bullets,
    Column,
    Figure,
    Paragraph,
    Row,
    Section,
    Strong,
    Table,
    Words,
)
from bench.reports.names import device_of, name_of
from bench.reports.sections.lost import lost_documents
from bench.reports.view import View

TITLE = "Where relevant documents are lost"
EXPLANATION = (
    "Of every relevant document that is missing from the top of a ranking, the stage that lost it. "
    "The search did not retrieve it; a stage cut it from what it hands on; or it was ranked below: "
    "by the stage that took it out of the top last or, where no stage had it there, by the last. "
    "Documents in the top and those lost by each stage add up to all that are relevant."
)
READING = (
    "The band is as high as the number of relevant documents that no stage has lost yet; what a "
    "stage loses leaves below it."
)


def losses(view: View) -> Section | None:
    """Return, per group, a table of losses, what they say of each pipeline, and some of the
    documents.
    """
    parts = {group: _blocks(view, group) for group in view.groups}
    explanation = Paragraph((EXPLANATION,), quiet=True)
    return view.section("losses", TITLE, parts, explanation)


def _blocks(view: View, group: GroupKey) -> list[Block]:
    members = [row for row in view.groups[group] if row.losses and not row.trial.is_oracle]
    pipelines = [row for row in members if row.stages]
    if not members:
        return []
    blocks: list[Block] = [_table(members, view.title(group))]
    sentences = [sentence(row) for row in pipelines]
    if sentences:
        blocks.append(Bullets(sentences))
    return [*blocks, *lost_documents(view, pipelines)]


def blame(view: View) -> Section | None:
    """Return, per group, what each pipeline loses where, in words alone."""
    parts: dict[GroupKey, list[Block]] = {}
    for group, members in view.groups.items():
        sentences = [sentence(row) for row in members if row.losses and row.stages]
        parts[group] = [Bullets(sentences)] if sentences else []
    return view.section("losses", TITLE, parts)


def flows(view: View) -> Section | None:
    """Return, per group, a picture of each pipeline."""
    parts: dict[GroupKey, list[Block]] = {}
    for group, members in view.groups.items():
        parts[group] = []
        for row in members:
            if row.stages and row.losses is not None:
                picture = flow.chart(row.losses, name_of(row.trial))
                mark = view.marks.get(row.trial.id)
                parts[group].append(Figure((name_of(row.trial),), picture, mark, reading=READING))
    return view.section("flow", "The way of relevant documents", parts)


def _table(members: Sequence[records.Row], title: str) -> Table:
    cutoffs = sorted({row.losses.cutoff for row in members if row.losses is not None})
    top = f"in top {'/'.join(map(str, cutoffs))}"
    columns = [
        Column("stage", "stage", align="left", priority=0),
        Column("reached", "not lost yet", "relevant, lost by no stage before it", priority=2),
        Column("not_retrieved", "not retrieved", better="lower", priority=3),
        Column("cut", "cut", "handed to it and not handed on", better="lower", priority=1),
        Column("below", "ranked below", "and so out of the top", better="lower", priority=1),
        Column("failed", "failed", "its query failed in the stage", better="lower", priority=4),
        Column("found", top, "at the end", better="higher", priority=1),
    ]
    lines: list[Row] = []
    for row in members:
        if row.losses is not None:
            lines += _lines(row, row.losses)
    return Table("row", columns, lines, f"relevant documents lost, {title}")


def _lines(row: records.Row, record: LossRecord) -> list[Row]:
    """Return a line per stage; of a reranker alone, one: its search is the first stage's line."""
    lines: list[Row] = []
    reached = record.relevant
    for number, stage in enumerate(record.stages):
        is_last = number == len(record.stages) - 1
        if row.stages or is_last:
            top = record.in_top if is_last else None
            by_column = {
                "stage": cells.text(stage.stage),
                "reached": cells.count(reached),
                "not_retrieved": _some(stage.not_retrieved, is_search=number == 0),
                "cut": cells.count(stage.cut),
                "below": cells.count(stage.ranked_below),
                "failed": cells.count(stage.failed),
                "found": cells.count(top),
            }
            lines.append(Row(row.name, by_column, device_of(row.trial), row.trial.kind))
        reached -= stage.total
    return lines


def _some(count: int, *, is_search: bool) -> cells.Cell:
    if not is_search:
        return cells.missing()
    return cells.count(count)


def sentence(row: records.Row) -> Words:
    """Return where a row loses its relevant documents, the stage that loses most of them first."""
    record = row.losses
    if record is None:
        return ()
    documents = counted(record.relevant, "relevant document")
    words: list[str | Strong] = [Strong(name_of(row.trial))]
    words.append(f": {record.in_top:,} of {documents} are in the top {record.cutoff}")
    losses: list[tuple[int, str, str]] = []
    for stage in record.stages:
        losses += [(count, stage.stage, way) for way, count in _ways(stage)]
    losses.sort(key=lambda loss: -loss[0])
    separator = "; of the rest, "
    for count, name, way in losses:
        # no word before the name: a stage may be called "by score"
        words += [separator, Strong(name), f" {way.format(f'{count:,}')}"]
        separator = ", "
    return (*words, ".")


def _ways(stage: StageLosses) -> list[tuple[str, int]]:
    """Return how a stage lost documents, in words with a place for the number, and how many; the
    ways in which it lost some.
    """
    ways = [
        ("does not retrieve {}", stage.not_retrieved),
        ("cuts {}", stage.cut),
        ("ranks {} below", stage.ranked_below),
        ("fails on {}", stage.failed),
    ]
    return [(way, count) for way, count in ways if count]
