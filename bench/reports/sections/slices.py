"""Rerankers by classes of queries, where the suite asks for them."""

from __future__ import annotations

from bench.comparison.slices import slicings
from bench.core.errors import BenchError
from bench.reports import sliced
from bench.reports.document import Block, Paragraph, Section
from bench.reports.view import View


def slices(view: View) -> Section | None:
    """Return a table per group and field that the suite names; None where it names none."""
    fields = view.run.info.resolved.get("slices") or []
    if not fields:
        return None
    blocks: list[Block] = []
    for field in fields:
        # what one field lacks is said in its place, and the others are shown
        try:
            blocks += sliced.blocks(slicings(view.run, [field]))
        except BenchError as error:
            blocks.append(Paragraph((str(error),)))
    return Section("slices", "Slices", blocks, folded=True)
