"""A document in a terminal. No row wraps and no number is cut: where there is no room, columns are
left out by their priority, and named.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bench.core.printable import one_line
from bench.reports.document import (
    Block,
    Bullets,
    Card,
    Code,
    Column,
    Document,
    Drill,
    Facts,
    Figure,
    Fold,
    Grid,
    Heading,
    Paragraph,
    Preformatted,
    Row,
    Section,
    Strong,
    Table,
    Words,
    absences,
)
from bench.reports.renderers.columns import TextColumn, in_full
from bench.reports.renderers.screen import screen

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

WIDE = 118
"""Columns from which on a terminal shows every section."""
FILE_WIDTH = 100
EDGES = 3
"""Characters at the sides of a table."""
GAP = 2
"""Characters between two columns."""
LEAST_NAME = 8
INDENT = "  "
"""Before the further lines of a text, so that a reader sees where the next one begins."""
NUMBER = 6
"""Characters of the narrowest column, so that tables of one report line up."""


def render(document: Document) -> str:
    """Return a document as plain text, for a file."""
    buffer = io.StringIO()
    show(document, screen(file=buffer, width=FILE_WIDTH))
    return "\n".join(line.rstrip() for line in buffer.getvalue().strip("\n").splitlines())


def show(document: Document, console: Console, *, titled: bool = True) -> None:
    """Print a document, as wide as the terminal is."""
    from rich.text import Text

    if titled and document.title:
        console.print(Text(f"\n{document.title}", "bold"), soft_wrap=True)
    for section in document.sections:
        if console.width >= WIDE or not section.wide:
            _section(section, console)


def fitting(columns: Sequence[Column], widths: Sequence[int], room: int) -> list[int]:
    """Return which columns fit into `room` characters, in the table's order. The headline column
    always does, and one that a table needs: names are shortened for it.
    """
    order = sorted(range(len(columns)), key=lambda i: (columns[i].priority, i))
    fit: list[int] = []
    for i in order:
        if not fit or columns[i].needed or widths[i] <= room:
            fit.append(i)
            room -= widths[i]
    return sorted(fit)


def shortened(name: str, room: int) -> str:
    """Return a name in at most `room` characters: its beginning and its end."""
    from rich.cells import cell_len, set_cell_size

    if cell_len(name) <= room:
        return name
    half = (room - 1) // 2
    beginning = set_cell_size(name, room - 1 - half).rstrip()
    end = name[-half:]
    while cell_len(end) > half:
        end = end[1:]
    return f"{beginning}…{end}"


def _section(section: Section, console: Console) -> None:
    from rich.text import Text

    if section.titled and section.title:
        console.print(Text(f"\n{section.title}", "bold"), soft_wrap=True)
    _blocks(section.blocks, console)


def _blocks(blocks: Sequence[Block], console: Console) -> None:
    for block in blocks:
        PRINTERS[type(block)](block, console)


def _heading(heading: Heading, console: Console) -> None:
    from rich.text import Text

    # The dataset stands out; what of it follows after a comma.
    title, *rest = heading.text.split(", ", 1)
    if heading.detail:
        rest.append(heading.detail)
    text = Text.assemble("\n", (title, "bold"), *(f", {part}" for part in rest))
    console.print(text, soft_wrap=True)


def _paragraph(paragraph: Paragraph, console: Console) -> None:
    console.print(_text(paragraph.words, "dim" if paragraph.quiet else ""))


def _bullets(bullets: Bullets, console: Console) -> None:
    for item in bullets.items:
        text = _text(item)
        if bullets.one_line:
            text.truncate(console.width - 1, overflow="ellipsis")
            console.print(text)
        else:
            _line(text, console)


def _facts(facts: Facts, console: Console) -> None:
    from rich.text import Text

    if facts.layout != "tiles":
        for name, value in facts.items.items():
            console.print(Text(f"{name}: {value}"), soft_wrap=True)


def _preformatted(block: Preformatted, console: Console) -> None:
    from rich.text import Text

    console.print(Text(block.text), soft_wrap=True)


def _figure(figure: Figure, console: Console) -> None:
    """Print the title and the numbers of a picture: the picture itself is for pages."""
    if figure.title:
        console.print(_text(figure.title))
    _blocks(figure.blocks, console)


def _fold(fold: Fold, console: Console) -> None:
    console.print(_text(fold.summary, "bold"))
    _blocks(fold.blocks, console)


def _inner(block: Card | Grid, console: Console) -> None:
    _blocks(block.blocks, console)


def _nothing(_: Drill, __: Console) -> None:
    """Print nothing: a terminal looks into no single query."""


def _table(table: Table, console: Console) -> None:
    from rich.text import Text

    if table.rows:
        _grid(table, console)
    for line in absences(table.absent):
        _line(Text(line), console)
    for note in table.notes:
        if not note.shared:
            _line(Text(note.full, "dim"), console)


def _line(text: Text, console: Console) -> None:
    """Print a text whose further lines are indented."""
    from rich.text import Text

    lines = text.wrap(console, console.width - len(INDENT))
    console.print(Text(f"\n{INDENT}").join(lines))


def _grid(table: Table, console: Console) -> None:
    from rich import box
    from rich import table as grids
    from rich.cells import cell_len
    from rich.text import Text

    columns = in_full(table)
    widths = [_width(column, table) for column in columns]
    longest = max(cell_len(name) for name in [table.rows_title, *(row.label for row in table.rows)])
    fit = fitting([column.column for column in columns], widths, console.width - EDGES - longest)
    fitted = [columns[i] for i in fit]
    room = console.width - EDGES - sum(widths[i] for i in fit)
    grid = grids.Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1), collapse_padding=True)
    grid.add_column(Text(table.rows_title), no_wrap=True)
    for column in fitted:
        grid.add_column(Text(column.column.title), justify=column.column.align, no_wrap=True)
    left_out = [column for column in columns if column not in fitted]
    hidden = [row for row in table.rows if _is_empty(row, fitted) and not _is_empty(row, left_out)]
    if len(hidden) == len(table.rows):
        hidden = []
    for row in table.rows:
        if row in hidden:
            continue
        values = (Text(column.text(row)) for column in fitted)
        grid.add_row(_label(row, max(LEAST_NAME, room)), *values)
    console.print(grid)
    if left_out:
        names = ", ".join(column.column.title for column in left_out)
        if hidden:
            labels = ", ".join(one_line(row.label) for row in hidden)
            names = f"{names}, and {labels}, which have nothing else,"
        needed = EDGES + longest + sum(widths)
        text = f"at {console.width} columns: {names} left out; {needed} columns show all"
        _line(Text(text, "dim"), console)


def _is_empty(row: Row, columns: Sequence[TextColumn]) -> bool:
    """Return whether a row has nothing in these columns."""
    return all(row.cell(column.column.key).type == "missing" for column in columns)


def _width(column: TextColumn, table: Table) -> int:
    """Return the characters of a column with the space before it."""
    from rich.cells import cell_len

    cells = [cell_len(column.text(row)) for row in table.rows]
    return GAP + max(NUMBER, cell_len(column.column.title), *cells)


def _label(row: Row, room: int) -> Text:
    from rich.cells import cell_len
    from rich.text import Text

    style = "italic" if row.kind == "reference" else ""
    label = one_line(row.label)
    if not row.device or cell_len(label) > room:
        return Text(shortened(label, room), style)
    return Text(one_line(row.name), style).append(f" ({row.device})", "dim")


def _text(words: Words, style: str = "") -> Text:
    from rich.text import Text

    text = Text(style=style)
    for word in words:
        if isinstance(word, str):
            text.append(word)
        else:
            text.append(word.text, STYLES.get(type(word), ""))
    return text


STYLES: Mapping[type, str] = {Strong: "bold", Code: "cyan"}
PRINTERS: Mapping[type, Callable[[Any, Console], None]] = {
    Heading: _heading,
    Paragraph: _paragraph,
    Bullets: _bullets,
    Facts: _facts,
    Preformatted: _preformatted,
    Table: _table,
    Figure: _figure,
    Fold: _fold,
    Card: _inner,
    Grid: _inner,
    Drill: _nothing,
}
