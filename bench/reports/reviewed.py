"""A person's review of a model's judgments as a document: agreement, confusion table, bounds."""

from __future__ import annotations

from collections.abc import Iterator

from bench.core.counting import counted, percent
from bench.judging.agreement import Agreement, Interval
from bench.judging.bounds import MEASURE, Bound, RowBounds
from bench.judging.review import Review
from bench.records.rows import GroupKey, group_of
from bench.reports import cells, numbers
from bench.reports.cells import Cell
from bench.reports.document import (
    Block,
    Bullets,
    Column,
    Document,
    Paragraph,
    Record,
    Row,
    Section,
    Strong,
    Table,
)
from bench.reports.names import device_of, title_of

ALL_QUERIES = "with queries"
BOUNDS = (
    Column(MEASURE, MEASURE, "by the model's judgments as they are", priority=2),
    Column("corrected", "corrected", "mean over what a person may have said", priority=0),
    Column("low", "95 %", "of that, the queries as they are", priority=0),
    Column(ALL_QUERIES, ALL_QUERIES, "its 95 % interval when queries are drawn anew", priority=3),
    Column("difference", "Δ first", "corrected difference to the first stage", priority=0),
    Column("of_difference", "Δ 95 %", "of that, the queries as they are", priority=0),
    Column("of_all", "Δ with queries", "and when queries are drawn anew", priority=4),
)
FLAT = (
    "In this sample each grade of the model met one grade of the person, so that the intervals "
    "have no width: they show nothing of how certain the agreement is. A larger review does."
)
ASSUMED = (
    "Corrected: the grades of pairs that nobody reviewed are drawn from what the model's may stand "
    "for, given the ranks of the document; errors of the model are taken to depend on the true "
    "grade and not on the row. Documents without a judgment count as not relevant."
)


def document(review: Review) -> Document:
    """Return the agreement, the confusion table, and a table of bounds per group."""
    sections = [Section("agreement", f"{review.dataset}: agreement", _agreement(review))]
    groups: dict[GroupKey, list[RowBounds]] = {}
    for own in review.rows:
        groups.setdefault(group_of(own.row.trial), []).append(own)
    for number, (key, members) in enumerate(groups.items()):
        title = title_of(key)
        table = Table("row", BOUNDS, [_row(own) for own in members], title)
        blocks: list[Block] = [table, Bullets([(line,) for line in _remarks(members)])]
        blocks.append(Paragraph((ASSUMED,), quiet=True))
        heading = f"{title}: what the disagreement does"
        sections.append(Section(f"bounds{number}", heading, blocks))
    return Document("", sections, data=_data(review))


def sentence(review: Review) -> str:
    """Return how far a person and the model agree, in one line."""
    agreement = review.agreement
    pairs = counted(agreement.pairs, "pair")
    accuracy = agreement.accuracy.value
    if agreement.kappa.value is None:
        return f"{review.model}: kappa is not defined on {pairs}, which all have one grade"
    return (
        f"{review.model} and a person agree with kappa {_text(agreement.kappa)}, with quadratic "
        f"weights {_text(agreement.weighted)}, and give the same grade to "
        f"{percent(accuracy or 0.0)} of all ({pairs})"
    )


def _text(interval: Interval) -> str:
    if interval.value is None or interval.low is None or interval.high is None:
        return numbers.NOTHING
    return f"{interval.value:.2f} [{interval.low:.2f}, {interval.high:.2f}]"


def _agreement(review: Review) -> list[Block]:
    agreement = review.agreement
    columns = [Column(str(grade), f"person {grade}", priority=0) for grade in agreement.scale]
    columns.append(Column("total", "of all", "judgments of the model of this grade", priority=1))
    rows = [_counts(agreement, place) for place in range(len(agreement.scale))]
    blocks: list[Block] = [
        Paragraph((Strong(f"{sentence(review)}."),)),
        Table("model", columns, rows, "pairs by grade"),
    ]
    if agreement.has_flat_interval:
        blocks.append(Paragraph((FLAT,), quiet=True))
    if review.unreviewed:
        left = counted(review.unreviewed, "pair")
        blocks.append(Paragraph((f"{left} of the sample have no grade yet.",), quiet=True))
    return blocks


def _counts(agreement: Agreement, place: int) -> Row:
    by_column = {
        str(grade): cells.count(int(count))
        for grade, count in zip(agreement.scale, agreement.counts[place].tolist(), strict=True)
    }
    by_column["total"] = cells.count(int(agreement.totals[place]))
    return Row(f"model {agreement.scale[place]}", by_column)


def _row(own: RowBounds) -> Row:
    value, difference = own.value, own.difference
    by_column = {
        MEASURE: cells.mean(value.measured),
        "corrected": cells.mean(value.corrected),
        "low": _range(value.low, value.high),
        ALL_QUERIES: _range(value.low_of_all, value.high_of_all),
    }
    if difference is not None:
        by_column["difference"] = cells.change(difference.corrected)
        by_column["of_difference"] = _range(difference.low, difference.high)
        by_column["of_all"] = _range(difference.low_of_all, difference.high_of_all)
    trial = own.row.trial
    return Row(own.row.name, by_column, device_of(trial), trial.kind)


def _range(low: float, high: float) -> Cell:
    return cells.text(f"[{low:.3f}, {high:.3f}]")


def _remarks(members: list[RowBounds]) -> Iterator[str]:
    """Yield which differences to the first stage the disagreement leaves undecided."""
    for own in members:
        difference = own.difference
        if difference is None:
            continue
        if difference.low <= 0 <= difference.high and difference.measured:
            yield (
                f"{own.row.name}: the review does not tell the sign of its difference to the first "
                f"stage ({difference.measured:+.4f} by the model's judgments); review more pairs"
            )
        elif difference.measured * difference.corrected < 0:
            yield (
                f"{own.row.name}: the model's judgments give its difference to the first stage the "
                "wrong sign"
            )


def _data(review: Review) -> Record:
    agreement = review.agreement
    return {
        "dataset": review.dataset,
        "model": review.model,
        "pairs": agreement.pairs,
        "unreviewed": review.unreviewed,
        "kappa": vars(agreement.kappa),
        "kappa_quadratic": vars(agreement.weighted),
        "accuracy": vars(agreement.accuracy),
        "scale": list(agreement.scale),
        "confusion": agreement.counts.astype(int).tolist(),
        "totals": agreement.totals.astype(int).tolist(),
        "measure": MEASURE,
        "rows": [_flat(own) for own in review.rows],
    }


def _flat(own: RowBounds) -> Record:
    trial = own.row.trial
    difference: Bound | None = own.difference
    return {
        "trial": trial.id,
        "first_stage": trial.first_stage,
        "reranker": trial.reranker,
        "value": vars(own.value),
        "difference": None if difference is None else vars(difference),
    }
