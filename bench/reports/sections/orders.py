"""Whether a run's collections and first stages agree on the order of its rerankers."""

from __future__ import annotations

from collections.abc import Sequence

from bench.comparison.orders import FEW, OrderAgreement
from bench.core.counting import counted
from bench.records.rows import GroupKey
from bench.reports import cells
from bench.reports.document import Block, Column, Paragraph, Row, Section, Table
from bench.reports.view import View

LISTED = 10
"""Pairs of groups that the table shows."""
DEPTH = 2
"""The place of the depth in what names a group."""
EXPLANATION = (
    "Kendall's tau-b between the orders of the same rerankers by their means: 1 for the same "
    "order, -1 for the reverse; the interval is over resampled queries."
)


def orders(view: View) -> Section | None:
    """Return a row per two groups; None where no two have two rerankers in common."""
    agreements = view.order_agreements
    if not agreements:
        return None
    columns = [
        Column("tau", "tau", better="higher", priority=0, interval="own"),
        Column("rows", "rerankers", priority=2),
        Column("best", "best", "of the first and of the second", align="left", priority=3),
    ]
    names = names_of(agreements)
    pairs = zip(names[:LISTED], agreements[:LISTED], strict=True)
    rows = [_row(name, agreement) for name, agreement in pairs]
    blocks: list[Block] = [Table("orders of", columns, rows, "agreement of orders")]
    if len(agreements) > LISTED:
        rest = counted(len(agreements) - LISTED, "pair")
        blocks.append(Paragraph((f"{rest} more not shown.",), quiet=True))
    text = EXPLANATION
    fewest = min(agreement.rows for agreement in agreements)
    if fewest < FEW:
        text = f"{text} Of {fewest} rerankers it says little: a swap of two moves it far."
    blocks.append(Paragraph((text,), quiet=True))
    return Section("orders", "Same order everywhere", blocks)


def _row(name: str, agreement: OrderAgreement) -> Row:
    first, second = agreement.best
    best = first if first == second else f"{first} / {second}"
    tau = cells.number("measure", "{:+.2f}".format, agreement.tau, agreement.low, agreement.high)
    by_column = {"tau": tau, "rows": cells.count(agreement.rows), "best": cells.text(best)}
    return Row(name, by_column)


def names_of(agreements: Sequence[OrderAgreement]) -> list[str]:
    """Return what sets the two groups of each agreement apart; all that names them, where that is
    the same of several.
    """
    apart = [_named(own.first, own.second) for own in agreements]
    names: list[str] = []
    for name, own in zip(apart, agreements, strict=True):
        if apart.count(name) > 1:
            name = _named(own.first, own.second, shared=True)
        names.append(name)
    return names


def _named(first: GroupKey, second: GroupKey, *, shared: bool = False) -> str:
    """Return what sets two groups apart; with `shared` also the collection or first stage that they
    have in common.
    """
    names: list[str] = []
    for place, (ours, theirs) in enumerate(zip(first, second, strict=True)):
        if ours != theirs:
            names.append(f"{ours} / {theirs}")
        elif shared and place < DEPTH:
            names.append(str(ours))
    return ", ".join(names)
