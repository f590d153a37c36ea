"""Whether a gain is worth its price: a table per dataset over all of its first stages."""

from __future__ import annotations

from bench.comparison.worth import Worth, Worths
from bench.core.counting import counted, percent
from bench.quality.statistics import ALPHA, Difference
from bench.reports import cells, numbers
from bench.reports.document import Block, Column, Heading, Paragraph, Row, Section, Strong, Table
from bench.reports.names import device_of, name_of
from bench.reports.view import View

LISTED = 12
"""Rows of a dataset that the table shows, the best ones."""
SEARCH = (
    "Δ search: the difference to the order of the first stage that is best on the other half of "
    "the queries. "
)
FUSION = (
    "Δ fusion: the difference to a sum of z-scores of all first stages without a reranker, with "
    "the weights that are best on the other half. "
)
EXPLANATION = (
    "Hurt: queries that the row makes "
    "worse than its own first stage. New first: queries with another first document. Best in "
    "halves: random halves of the queries on which no other row and no first stage is better. A "
    "point is .01 of the measure, gained over the row's own first stage; a row that gains nothing "
    "has no price."
)


def worth(view: View) -> Section | None:
    """Return a table per dataset of what each row's gain costs; None where no row competes."""
    blocks: list[Block] = []
    for dataset in view.worths:
        if len(view.worths) > 1:
            blocks.append(Heading(dataset.dataset))
        blocks.append(_lead(dataset))
        blocks.append(_table(dataset))
        left_out = len(dataset.rows) - LISTED
        if left_out > 0:
            rest = f"{counted(left_out, 'row')} with a lower mean not shown."
            blocks.append(Paragraph((rest,), quiet=True))
    if not blocks:
        return None
    text = EXPLANATION
    if any(dataset.fusion is not None for dataset in view.worths):
        text = FUSION + text
    if any(len(dataset.search) > 1 for dataset in view.worths):
        text = SEARCH + text
    blocks.append(Paragraph((text,), quiet=True))
    return Section("worth", "Is it worth it", blocks, folded=True)


def sentence(worth: Worth) -> str:
    """Return what a row does to queries and what its gain costs, in words."""
    parts = [f"it helps {percent(worth.helped)} of the queries and hurts {percent(worth.hurt)}"]
    prices = []
    if worth.ms_per_point is not None:
        prices.append(f"{numbers.milliseconds(worth.ms_per_point)} ms")
    if worth.usd_per_point is not None:
        prices.append(f"${numbers.dollars(worth.usd_per_point)} per 1,000 queries")
    if prices:
        parts.append(f"a point costs {' and '.join(prices)}")
    if worth.row.first_changed is not None:
        parts.append(f"another document is first for {percent(worth.row.first_changed)}")
    if worth.over_fusion is not None:
        parts.append(_over_fusion(worth.over_fusion))
    parts.append(f"it is the best choice on {percent(worth.best_in_halves)} of random halves")
    return "; ".join(parts)


def _over_fusion(difference: Difference) -> str:
    """Return whether a row is worth more than its first stages fused without a reranker."""
    text = f"against the first stages fused without a reranker it is {numbers.tested(difference)}"
    if difference.p >= ALPHA:
        return f"{text}, which these queries cannot tell from nothing"
    return text


def named(worth: Worth, dataset: Worths) -> str:
    """Return a row's name, with its first stage where the dataset has several."""
    trial = worth.row.trial
    if len(dataset.search) == 1:
        return trial.reranker
    return f"{trial.first_stage} > {trial.reranker}"


def _lead(dataset: Worths) -> Paragraph:
    halves = (
        f"The best choice on a random half of the {counted(dataset.queries, 'query')} is the best "
        f"on the other half, too, in {percent(dataset.survival)} of the cases."
    )
    if len(dataset.search) == 1:
        return Paragraph((f"{halves} {_fusion(dataset)}",))
    best = dataset.rows[0]
    value = numbers.quality(best.row.quality[dataset.measure].mean)
    where = f" ranks best on {dataset.dataset}: {dataset.measure} {value}"
    name = Strong(f"{best.row.trial.first_stage} > {name_of(best.row.trial)}")
    over = ""
    if best.over_search is not None:
        over = f", {numbers.tested(best.over_search)} against the best order without a reranker"
    rest = (
        f". Of the first stages alone, {dataset.best_search} is best. {_fusion(dataset)} {halves}"
    )
    return Paragraph((name, f"{where}{over}{rest}"))


def _fusion(dataset: Worths) -> str:
    """Return what a tuned fusion of the first stages has without a reranker, or why none could be
    computed.
    """
    fusion = dataset.fusion
    if fusion is None and len(dataset.search) == 1:
        return "A fusion without a reranker needs a second first stage in the run."
    if fusion is None:
        return (
            "A fusion of the first stages could not be computed: the run keeps no scores of two of "
            "them, they are one search at several depths, or there are too few queries."
        )
    best = dataset.rows[0]
    value = numbers.quality(fusion.mean)
    names = " and ".join(fusion.names)
    over = ""
    if best.over_fusion is not None:
        over = f"; against it the best row is {numbers.tested(best.over_fusion)}"
    return f"{names} fused without a reranker, weights tuned on the other half, have {value}{over}."


def _table(dataset: Worths) -> Table:
    several = len(dataset.search) > 1
    measure = dataset.measure
    columns = [Column("quality", measure, better="higher", priority=0)]
    if several:
        columns.append(Column("search", "Δ search", better="higher", priority=1, interval="own"))
    if dataset.fusion is not None:
        columns.append(Column("fusion", "Δ fusion", better="higher", priority=1, interval="own"))
    columns += [
        Column("hurt", "hurt", "share of queries", better="lower", priority=2),
        Column("first", "new first", "share of queries", priority=4),
        Column("ms", "ms/point", better="lower", priority=2),
    ]
    if any(worth.usd is not None for worth in dataset.rows):
        columns.append(Column("usd", "$/point", "per 1,000 queries", better="lower", priority=2))
    columns.append(Column("halves", "best in halves", better="higher", priority=1))
    rows = [_row(worth, dataset) for worth in dataset.rows[:LISTED]]
    return Table("pipeline", columns, rows, f"what each gain costs, {dataset.dataset}")


def _row(worth: Worth, dataset: Worths) -> Row:
    row = worth.row
    by_column = {
        "quality": cells.seen(cells.measure(row.quality[dataset.measure]), row.seen),
        "search": cells.delta(worth.over_search),
        "fusion": cells.delta(worth.over_fusion),
        "hurt": cells.share(worth.hurt),
        "first": cells.missing(),
        "ms": cells.duration(worth.ms_per_point),
        "usd": cells.money(worth.usd_per_point),
        "halves": cells.share(worth.best_in_halves),
    }
    if row.first_changed is not None:
        by_column["first"] = cells.share(row.first_changed)
    return Row(named(worth, dataset), by_column, device_of(row.trial))
