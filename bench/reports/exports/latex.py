"""The main tables for a paper."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from bench.core.counting import percent
from bench.quality.measures import JUDGED
from bench.quality.statistics import ALPHA
from bench.records.rows import disturbances_of
from bench.records.run import Run
from bench.reports.document import Block, Document, Note, Row, Section, Table
from bench.reports.names import as_sentence
from bench.reports.renderers import latex
from bench.reports.sections.overview import over, overview_table
from bench.reports.sections.results import DELTA, table
from bench.reports.view import View

LEFT_OUT = frozenset({"p", JUDGED, "ms/pair", "pairs/s", "failed", "$/1k queries"})
DAGGER = "†"
EXPLANATION = f"{DAGGER}: p < 0.05 against the first stage, paired permutation test, uncorrected"
CPU = "cpu"


def to_latex(run: Run, out: Path | None = None) -> str:
    """Return a booktabs table per group, and of several groups one of their means. The best is
    bold, a dagger marks p < 0.05 of the paired permutation test against the first stage,
    uncorrected; the caption says so where there is one.

    Needs \\usepackage{booktabs}.
    """
    view = View(run)
    blocks: list[Block] = []
    for group in view.groups:
        main = table(view, group, "")
        if any(row.kind == "reranker" for row in main.rows):
            busy = disturbances_of(view.groups[group])
            blocks.append(_short(main, view.title(group), busy))
    overview = overview_table(view)
    if overview:
        blocks.append(replace(overview, caption=f"mean over {over(view)}"))
    return latex.render(Document("", [Section("results", "Results", blocks)]))


def _short(main: Table, caption: str, remarks: Iterable[str]) -> Table:
    """Return the main table with the columns that a paper has room for, and the remarks."""
    columns = [column for column in main.columns if column.key not in LEFT_OUT]
    measured = [row for row in main.rows if row.cell(main.columns[0].key).number is not None]
    rows = [_row(row) for row in measured]
    notes = [Note("", as_sentence(remark)) for remark in remarks]
    if any(row.cell(DELTA).sign for row in rows):
        notes.insert(0, Note("", EXPLANATION))
    return replace(main, columns=columns, rows=rows, caption=caption, notes=notes)


def _row(row: Row) -> Row:
    cells = dict(row.cells)
    p, failed = row.cell("p").number, row.cell("failed").number
    if p is not None and p < ALPHA and row.kind == "reranker":
        cells[DELTA] = replace(cells[DELTA], sign=DAGGER)
    row = replace(row, cells=cells)
    if row.device == CPU:
        row = replace(row, device="")
    if failed:
        row = replace(row, name=f"{row.label}, {percent(failed)} failed", device="")
    return row
