"""What a reranker gives to relevant candidates and to the others: a small chart per reranker."""

from __future__ import annotations

from collections.abc import Sequence

from bench.reports.charts.scores import Separation
from bench.reports.document import Block, Chip, Figure, Grid, Paragraph, Section, Words
from bench.reports.view import View

EXPLANATION: Words = (
    "Raw scores of ",
    Chip("relevant", "chip relevant"),
    " candidates against ",
    Chip("all others", "chip others"),
    ", unjudged ones among these; both outlines have the same area. AUC is the chance that a "
    "relevant candidate of any query scores above another of any query: it says how well one "
    "threshold would work for all queries, which nDCG does not ask.",
)
ORDER_ONLY = "Its scores only number the places of an order: there is no distribution to show."


def scores(view: View) -> Section | None:
    """Return the charts of the rerankers whose rankings the run holds."""
    separations = view.rankings.separations
    grids = {
        group: _grid(members, view.drawn_from(group)) for group, members in separations.items()
    }
    return view.section("scores", "Scores", grids, Paragraph(EXPLANATION))


def _grid(separations: Sequence[Separation], sample: str) -> list[Block]:
    if not separations:
        return []
    blocks: list[Block] = []
    if sample:
        blocks.append(Paragraph((f"{sample}.",), quiet=True))
    blocks.append(Grid([_figure(separation) for separation in separations], "small-multiples"))
    return blocks


def _figure(separation: Separation) -> Figure:
    counts = f"{separation.relevant:,} relevant, {separation.others:,} others"
    blocks = [Paragraph((counts,), quiet=True)]
    if separation.order_only:
        blocks.insert(0, Paragraph((ORDER_ONLY,), quiet=True))
    auc = f"AUC {separation.auc:.3f}"
    title, mark = (separation.name,), separation.mark
    return Figure(title, separation.chart, mark=mark, detail=auc, blocks=blocks)
