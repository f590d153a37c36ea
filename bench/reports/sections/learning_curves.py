"""Models that a recipe trained, and what more labelled queries bring: rows that were trained on
growing shares of them.
"""

from __future__ import annotations

from collections.abc import Sequence

from bench.comparison.learning_curves import (
    WORTH,
    LearningCurve,
    Outlook,
    Share,
    training_of,
)
from bench.core.counting import counted
from bench.records.facts import TrainingFacts
from bench.records.rows import GroupKey, group_of
from bench.records.schema import Record
from bench.reports import cells, numbers
from bench.reports.charts import learning
from bench.reports.document import Block, Column, Figure, Heading, Paragraph, Row, Section, Table
from bench.reports.names import name_of
from bench.reports.view import View

EXPLANATION = (
    "Each row is trained on a share of the training queries, and larger shares hold the smaller "
    "ones. Gains are paired by test query. Whether more labels help is read off the two largest "
    "shares, per doubling of the labelled queries: likely where the 95 % interval is above 0, "
    f"unlikely where all of it is below {WORTH}, else not known. Each share is one training with "
    "one seed, which the intervals do not hold."
)


def learning_curves(view: View) -> Section | None:
    """Return how each model was trained, and a table, a chart and a sentence per curve; None where
    the run trained nothing.
    """
    rows: dict[GroupKey, list[Row]] = {}
    for record in view.run.records.values():
        facts = training_of(record)
        if facts is not None and facts["fraction"]:
            rows.setdefault(group_of(record.trial), []).append(_training(record, facts))
    blocks: dict[GroupKey, list[Block]] = {group: [_trainings(own)] for group, own in rows.items()}
    for curve in view.learning_curves:
        blocks.setdefault(curve.group, []).extend(_blocks(curve))
    return view.section("learning-curves", "Trained by a recipe", blocks)


def _trainings(rows: Sequence[Row]) -> Table:
    """Return how the models of a group were trained."""
    columns = [
        Column("queries", "labelled queries", priority=0),
        Column("pairs", "pairs", "documents of all training lists", priority=1),
        Column("steps", "steps", priority=1),
        Column(
            "kept",
            "kept",
            "the step whose weights were kept: that of the best dev value",
            priority=2,
        ),
        Column("dev", "dev nDCG@10", "of that step", priority=1),
        Column("seconds", "training s", priority=2),
    ]
    return Table("row", columns, rows, "trainings")


def _training(record: Record, facts: TrainingFacts) -> Row:
    by_column = {
        "queries": cells.count(facts["queries"]),
        "pairs": cells.count(facts["pairs"]),
        "steps": cells.count(facts["steps"]),
        "kept": cells.count(facts["best_step"]),
        "dev": cells.mean(facts["dev"]),
        "seconds": cells.count(round(facts["seconds"])),
    }
    return Row(name_of(record.trial), by_column)


def _blocks(curve: LearningCurve) -> list[Block]:
    return [
        Heading(f"{curve.recipe}: would more labels help?"),
        Paragraph((sentence(curve),)),
        _table(curve),
        Figure((), learning.chart(curve)),
        Paragraph((EXPLANATION,), quiet=True),
    ]


def sentence(curve: LearningCurve) -> str:
    """Return in plain words whether more labels are likely to help."""
    last = curve.shares[-1]
    base = name_of(curve.base.trial)
    queries = counted(last.queries, "labelled query")
    gain = (
        f"With {queries} the difference to {base} in {curve.measure} is "
        f"{numbers.tested(last.gain)}."
    )
    if curve.doubling is None:
        return f"{gain} The shares have the same queries: nothing is known of more labels."
    step = numbers.signed_interval(curve.doubling)
    of_last = f"{numbers.change(curve.doubling.mean)} {step} per doubling at the end of the curve"
    if curve.outlook is Outlook.LIKELY:
        return f"{gain} More labels are likely to help: {of_last}."
    if curve.outlook is Outlook.UNLIKELY:
        return f"{gain} More labels are unlikely to help: {of_last}."
    return f"{gain} Whether more labels would help is not clear: {of_last}."


def _table(curve: LearningCurve) -> Table:
    measure = curve.measure
    columns = [
        Column("queries", "labelled queries", priority=0),
        Column(measure, measure, better="higher", priority=1, interval="comment"),
        Column(
            "gain",
            "gain",
            f"over {name_of(curve.base.trial)}",
            better="higher",
            priority=0,
            interval="own",
        ),
        Column("p", "p", "of the paired difference", priority=2),
    ]
    base = Row(
        name_of(curve.base.trial),
        {
            "queries": cells.count(0),
            measure: cells.measure(curve.base.quality[measure]),
            "gain": cells.missing(),
            "p": cells.missing(),
        },
    )
    rows = [base, *(_row(share, measure) for share in curve.shares)]
    return Table("row", columns, rows, f"{curve.recipe} by labelled queries")


def _row(share: Share, measure: str) -> Row:
    by_column = {
        "queries": cells.count(share.queries),
        measure: cells.measure(share.value),
        "gain": cells.delta(share.gain),
        "p": cells.p(share.gain.p),
    }
    return Row(name_of(share.record.trial), by_column)
