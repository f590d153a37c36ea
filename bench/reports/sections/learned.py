"""A group's trained stages next to fusions of the same stages, which are cheaper, and the features
that count.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bench.core.counting import counted
from bench.quality.measures import JUDGED
from bench.records import rows as records
from bench.records.learned import FusionRecord, LearnedRecord
from bench.records.rows import GroupKey
from bench.reports import cells, numbers
from bench.reports.document import (
    Block,
    Code,
    Column,
    Heading,
    Paragraph,
    Row,
    Section,
    Table,
)
from bench.reports.names import name_of
from bench.reports.view import View

EXPLANATION = (
    "A stage that was trained in the run, and two fusions of the same stages over the same "
    "documents: reciprocal rank fusion, which is not trained, and a sum of z-scores with weights "
    "tuned on the queries that the stage learned from. Each query is scored by what was fitted on "
    "others. A gain over the tuned fusion is what learning adds."
)
ALONE = (
    "A stage that was trained in the run, next to the order that it began from. Each query is "
    "scored by what was fitted on others. With one search there is nothing to fuse: what learning "
    "adds to a tuned fusion is shown where the stage has scores of several."
)
FEATURES = 10
"""Features that a table lists."""
BAR = 20
"""Characters of the longest bar."""


def learned(view: View) -> Section | None:
    """Return what the trained stages of each group are worth, and which features count."""
    blocks = {group: list(_blocks(view, group)) for group in view.groups}
    text = ALONE
    for row in view.rows:
        if any(stage.fusions and len(stage.stages) > 1 for stage in row.learned):
            text = EXPLANATION
    explanation = Paragraph((text,), quiet=True)
    return view.section("learned", "Trained stages and fusions", blocks, explanation)


def _blocks(view: View, group: GroupKey) -> Iterator[Block]:
    """Yield what there is of each stage; of one that several pipelines begin with, once."""
    known: list[tuple[LearnedRecord, list[records.Row]]] = []
    for row in view.groups[group]:
        for stage in row.learned:
            # a model that a recipe trained has a section of its own
            if stage.fusions:
                _rows_of(stage, known).append(row)
    for stage, members in known:
        title = ", ".join(name_of(row.trial) for row in members)
        if stage.stage not in {row.name for row in members}:
            title = f"{title}: {stage.stage}"
        yield Heading(title, _training(stage), level=4)
        yield _comparison(title, stage)
        yield _importances(title, stage)
        if stage.files:
            yield Paragraph(("Model: ", Code(f"models/{stage.files[0]}")), quiet=True)


def _rows_of(
    stage: LearnedRecord, known: list[tuple[LearnedRecord, list[records.Row]]]
) -> list[records.Row]:
    """Return the rows that have the same stage, which is added where it is new."""
    for other, members in known:
        if other.model_copy(update={"files": stage.files}) == stage:
            return members
    members = []
    known.append((stage, members))
    return members


def _training(stage: LearnedRecord) -> str:
    """Return how a stage was trained, in a few words."""
    if not stage.queries:
        return f"{stage.model}, loaded"
    queries = counted(stage.queries, "query")
    if stage.dataset is not None:
        return f"{stage.model}, trained on {queries} of {stage.dataset}"
    return f"{stage.model}, cross-fitted on {queries} in {stage.folds} folds"


def _comparison(title: str, stage: LearnedRecord) -> Table:
    """Return the fusions, and how much better the trained stage is than each."""
    measures = [name for name in stage.fusions[0].quality if name != JUDGED]
    headline = measures[0]
    columns = [
        Column("weights", "weights", "of the stages; mean over folds", align="left", priority=4),
        *(_measure(name, name == headline) for name in measures),
        Column(
            "gain",
            f"{stage.stage} − it, {headline}",
            "paired by query",
            better="higher",
            priority=0,
            interval="own",
        ),
        Column("p", "p", "of the paired difference", priority=1),
    ]
    fusions = stage.fusions
    if len(stage.stages) == 1:
        # fusions of one list are that list
        fusions = fusions[:1]
    rows = [_fusion_row(fusion, stage.stages, headline) for fusion in fusions]
    caption = f"{title} next to fusions of the same stages"
    return Table("fusion", columns, rows, caption)


def _measure(name: str, is_headline: bool) -> Column:
    priority = 4
    if is_headline:
        priority = 1
    return Column(name, name, better="higher", priority=priority)


def _fusion_row(fusion: FusionRecord, stages: Sequence[str], headline: str) -> Row:
    difference = fusion.difference.get(headline)
    by_column = {name: cells.measure(value) for name, value in fusion.quality.items()}
    by_column["weights"] = cells.text(_weights(fusion, stages))
    by_column["gain"] = cells.delta(difference)
    by_column["p"] = cells.p(None if difference is None else difference.p)
    names = {"rrf": "RRF", "tuned": "tuned fusion"}
    name = f"{names[fusion.kind]} of {', '.join(stages)}"
    if len(stages) == 1:
        name = f"{stages[0]} alone: nothing to fuse"
        by_column["weights"] = cells.missing("one list has no weights")
    return Row(name, by_column)


def _weights(fusion: FusionRecord, stages: Sequence[str]) -> str:
    if not fusion.weights:
        return "equal"
    columns = zip(*fusion.weights, strict=True)
    means = [sum(column) / len(column) for column in columns]
    return ", ".join(f"{mean:.2f}" for mean in means)


def _importances(title: str, stage: LearnedRecord) -> Table:
    """Return the features that count most, with bars."""
    what = "gain"
    if stage.model == "linear":
        what = "weight"
    largest = max((abs(entry.weight or 0.0) for entry in stage.importances), default=0.0)
    columns = [
        Column("weight", what, "mean over the models of the folds", priority=0),
        Column("bar", "", align="left", priority=3),
        Column("fall", "permuted", "fall of nDCG@10 without it", better="higher", priority=1),
    ]
    rows: list[Row] = []
    for entry in stage.importances[:FEATURES]:
        weight = entry.weight or 0.0
        length = round(BAR * abs(weight) / largest) if largest else 0
        by_column = {
            "weight": cells.number("measure", "{:.4g}".format, entry.weight),
            "bar": cells.text("█" * max(length, 1)),
            "fall": cells.number("delta", numbers.change, entry.permutation),
        }
        rows.append(Row(entry.feature, by_column))
    caption = f"features of {title} by {what}"
    return Table("feature", columns, rows, caption)
