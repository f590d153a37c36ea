"""The main tables for a paper."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from bench.core.counting import percent
from bench.meaning.score_measures import score_measures
from bench.quality.measures import JUDGED
from bench.quality.statistics import ALPHA
from bench.records.rows import disturbances_of
from bench.records.run import Run
from bench.reports.cells import Cell
from bench.reports.document import Block, Column, Document, Note, Row, Section, Table
from bench.reports.judges import judge_lines
from bench.reports.names import as_sentence
from bench.reports.renderers import latex
from bench.reports.sections.overview import Mean, means, over, overview_table
from bench.reports.sections.results import DELTA, table
from bench.reports.sections.score_measures import value_cells
from bench.reports.view import View
from bench.reports.wording import NOT_IN_VERDICT, out_of_verdict

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
    judges = [Note("", line) for line in judge_lines(run)]
    blocks: list[Block] = []
    errors = {row.table.row.trial.id: value_cells(row) for row in score_measures(run)}
    for group in view.groups:
        main = _with_errors(table(view, group, ""), errors)
        if any(row.kind == "reranker" for row in main.rows):
            members = view.groups[group]
            left_out = {row.trial.id: out_of_verdict(row) for row in members}
            short = _short(main, view.title(group), disturbances_of(members), left_out)
            blocks.append(replace(short, notes=[*short.notes, *judges]))
    overview = overview_table(view)
    if overview:
        rows = _marked(overview.rows, means(view.findings))
        blocks.append(replace(overview, rows=rows, caption=f"mean over {over(view)}", notes=judges))
    return latex.render(Document("", [Section("results", "Results", blocks)]))


def _with_errors(main: Table, errors: Mapping[str, Mapping[str, Cell]]) -> Table:
    """Return the main table with a column for each measure of scores that the suite asks for.
    `errors` is trial id -> the cells of its row.
    """
    values = [errors.get(row.id, {}) for row in main.rows]
    names: dict[str, None] = {}
    for own in values:
        names |= dict.fromkeys(own)
    columns = [Column(name, name) for name in names]
    rows: list[Row] = []
    for row, own in zip(main.rows, values, strict=True):
        rows.append(replace(row, cells={**row.cells, **own}))
    return replace(main, columns=[*main.columns, *columns], rows=rows)


def _marked(rows: Sequence[Row], lines: Sequence[Mean]) -> list[Row]:
    """Return the rows of the overview, those that lead no verdict with a word."""
    marked = []
    for row, line in zip(rows, lines, strict=True):
        name = row.name
        if line.out_of_verdict:
            name += NOT_IN_VERDICT
        marked.append(replace(row, name=name))
    return marked


def _short(main: Table, caption: str, remarks: Iterable[str], left_out: Mapping[str, str]) -> Table:
    """Return the main table with the columns that a paper has room for, and the remarks.
    `left_out` is trial id -> why it leads no verdict.
    """
    columns = [column for column in main.columns if column.key not in LEFT_OUT]
    measured = [row for row in main.rows if row.cell(main.columns[0].key).number is not None]
    rows = [_row(row, left_out[row.id]) for row in measured]
    reasons = [Note(row.label, left_out[row.id]) for row in measured if left_out[row.id]]
    notes = [*reasons, *(Note("", as_sentence(remark)) for remark in remarks)]
    if any(row.cell(DELTA).sign for row in rows):
        notes.insert(0, Note("", EXPLANATION))
    return replace(main, columns=columns, rows=rows, caption=caption, notes=notes)


def _row(row: Row, left_out: str) -> Row:
    own = dict(row.cells)
    p, failed = row.cell("p").number, row.cell("failed").number
    if p is not None and p < ALPHA and row.kind == "reranker":
        own[DELTA] = replace(own[DELTA], sign=DAGGER)
    row = replace(row, cells=own)
    if row.device == CPU:
        row = replace(row, device="")
    if failed:
        row = replace(row, name=f"{row.label}, {percent(failed)} failed", device="")
    if left_out:
        row = replace(row, name=f"{row.label}{NOT_IN_VERDICT}", device="")
    return row
