"""What a reranker gives to relevant candidates and to the others: a small chart per reranker."""

from __future__ import annotations

from collections.abc import Sequence

from bench.records.rows import GroupKey
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
    by_group: list[tuple[GroupKey, Sequence[Block]]] = []
    for group, separations in view.rankings.separations.items():
        figures = [_figure(separation) for separation in separations]
        by_group.append((group, [Grid(figures, "small-multiples")] if figures else []))
    if not any(blocks for _, blocks in by_group):
        return None
    blocks = [Paragraph(EXPLANATION), *view.parts(by_group)]
    return Section("scores", "Scores", blocks)


def _figure(separation: Separation) -> Figure:
    blocks: list[Block] = []
    if separation.order_only:
        blocks.append(Paragraph((ORDER_ONLY,), quiet=True))
    counts = f"{separation.relevant:,} relevant, {separation.others:,} others"
    blocks.append(Paragraph((counts,), quiet=True))
    auc = f"AUC {separation.auc:.3f}"
    return Figure(
        (separation.name,), separation.chart, mark=separation.mark, detail=auc, blocks=blocks
    )
