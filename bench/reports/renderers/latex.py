"""The tables of a document for LaTeX, with booktabs."""

from __future__ import annotations

import re
from collections.abc import Iterator

from bench.reports.document import Document, Row, Table
from bench.reports.renderers.columns import TextColumn, in_full
from bench.reports.renderers.json import tables

SPECIAL = {
    "\\": "\\textbackslash{}",
    "~": "\\textasciitilde{}",
    "^": "\\textasciicircum{}",
    "–": "--",
    "Δ": "$\\Delta$",
    "†": "$^{\\dagger}$",
    "ʳ": "$^{r}$",
    "ᵗ": "$^{t}$",
    "<": "$<$",
    ">": "$>$",
    "|": "\\textbar{}",
    '"': "\\char34{}",
}


def render(document: Document) -> str:
    """Return a `table` environment for each table with rows."""
    lines: list[str] = []
    for section in document.sections:
        for table in tables(section.blocks):
            if table.rows:
                lines += [*_table(table), ""]
    return "\n".join(lines)


def escape(text: str) -> str:
    """Return text as LaTeX prints it."""
    special = r"[\\~^&%$#_{}–Δ†ʳᵗ<>|\"]"
    return re.sub(
        special, lambda sign: SPECIAL.get(sign[0], f"\\{sign[0]}"), " ".join(text.split())
    )


def _table(table: Table) -> Iterator[str]:
    columns = in_full(table)
    head = [escape(table.rows_title), *(escape(column.column.title) for column in columns)]
    notes = "".join(f". {escape(note.full)}" for note in table.notes)
    yield "\\begin{table}"
    yield "  \\centering"
    yield f"  \\caption{{{escape(table.caption)}{notes}}}"
    yield f"  \\begin{{tabular}}{{l{''.join(column.column.align[0] for column in columns)}}}"
    yield "    \\toprule"
    yield f"    {' & '.join(head)} \\\\"
    yield "    \\midrule"
    for row in table.rows:
        cells = [_cell(table, row, column) for column in columns]
        yield f"    {' & '.join([_name(row), *cells])} \\\\"
    yield "    \\bottomrule"
    yield "  \\end{tabular}"
    yield "\\end{table}"


def _name(row: Row) -> str:
    name = escape(row.label)
    if name.startswith("["):  # after the end of a line, a bracket would be its option
        name = f"{{}}{name}"
    return f"\\emph{{{name}}}" if row.kind == "reference" else name


def _cell(table: Table, row: Row, column: TextColumn) -> str:
    """Return a cell; the headline value of the best row is bold, a difference has a minus."""
    text = column.text(row)
    if column.part == "interval":
        return escape(text)
    if row.best and column.column.key == table.lead:
        return f"\\textbf{{{escape(text)}}}"
    return re.sub(r"^([+-])([0-9.]+)", r"$\1\2$", escape(text))
