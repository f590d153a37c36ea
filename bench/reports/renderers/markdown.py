"""A document as a merge-request comment or a page in a repository. What decides comes first; what
explains it opens on a click.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from bench.core.counting import counted
from bench.reports.document import (
    Block,
    Bullets,
    Card,
    Chip,
    Code,
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
from bench.reports.printed_tables import ALL_COLUMNS
from bench.reports.renderers.columns import TextColumn, in_full, in_short

MARKUP = r"[\\`*\[\]<>|]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])"
FOLDED_NOTES = 6
"""From this number of notes on, they are folded."""


def render(document: Document) -> str:
    """Return the whole page."""
    sections = [_section(section) for section in document.sections]
    title = f"## {escape(document.title)}" if document.title else ""
    return _joined([title, *sections, escape(document.lede)]) + "\n"


def words(parts: Words) -> str:
    """Return words with their marks."""
    return "".join(INLINE[type(part)](part) for part in parts)


def folded(title: str, content: str) -> str:
    """Return what opens on a click; nothing where there is nothing."""
    if not content:
        return ""
    return f"<details><summary>{title}</summary>\n\n{content}\n\n</details>"


def escape(text: str) -> str:
    """Return text as text: what Markdown or HTML would read as markup is escaped. An underscore
    inside a word is none, and of dollars it takes two: a formula lies between them.
    """
    return _inline(" ".join(text.split()))


def _inline(text: str) -> str:
    """Return a part of a text, which keeps the space to its neighbours."""
    markup = MARKUP
    if text.count("$") > 1:
        markup += r"|\$"
    return re.sub(markup, lambda match: rf"\{match[0]}", re.sub(r"\s+", " ", text))


def code(text: str) -> str:
    """Return text as code, whatever backticks it holds."""
    fence = "`" * (max((len(ticks) for ticks in re.findall("`+", text)), default=0) + 1)
    space = " " if len(fence) > 1 else ""
    return f"{fence}{space}{' '.join(text.split())}{space}{fence}"


def _section(section: Section, level: str = "###") -> str:
    content = _blocks(section.blocks)
    if section.folded:
        return folded(escape(section.title), content)
    if section.titled and content:
        return f"{level} {escape(section.title)}\n\n{content}"
    return content


def _blocks(blocks: Iterable[Block]) -> str:
    return _joined(WRITERS[type(block)](block) for block in blocks)


def _joined(parts: Iterable[str]) -> str:
    return "\n\n".join(part for part in parts if part)


def _heading(heading: Heading) -> str:
    detail = f" ({escape(heading.detail)})" if heading.detail else ""
    return f"{'#' * heading.level} {escape(heading.text)}{detail}"


def _paragraph(paragraph: Paragraph) -> str:
    return words(paragraph.words)


def _bullets(bullets: Bullets) -> str:
    return _list([words(item) for item in bullets.items])


def _list(items: Iterable[str]) -> str:
    return "\n".join(f"- {item}" for item in items)


def _facts(facts: Facts) -> str:
    if facts.layout == "tiles":
        return ""
    return _list(f"{escape(name)}: {escape(value)}" for name, value in facts.items.items())


def _preformatted(block: Preformatted) -> str:
    fence = "`" * max(3, 1 + max((len(ticks) for ticks in re.findall("`+", block.text)), default=0))
    return f"{fence}\n{block.text}\n{fence}"


def _figure(figure: Figure) -> str:
    """Return the title and the numbers of a picture. It is not embedded: a posted comment has no
    files, and would show broken ones.
    """
    return _joined([words(figure.title), _blocks(figure.blocks)])


def _fold(fold: Fold) -> str:
    content = _blocks(fold.blocks)
    if fold.style == "part":
        return f"**{words(fold.summary)}**\n\n{content}"
    return folded(words(fold.summary), content)


def _inner(block: Card | Grid) -> str:
    return _blocks(block.blocks)


def _nothing(_: Drill) -> str:
    """Return nothing: a comment looks into no single query."""
    return ""


def _table(table: Table) -> str:
    short, full = in_short(table), in_full(table)
    has_details = any(column.detail for column in table.columns)
    notes = [escape(note.full) for note in table.notes if not note.shared]
    missing = [escape(line) for line in absences(table.absent)]
    notes_list = _list(notes)
    if len(notes) >= FOLDED_NOTES:
        notes_list = folded(counted(len(notes), "note"), notes_list)
    parts = [_grid(table, short), _list(missing), notes_list]
    if has_details and table.rows:
        parts.append(folded(ALL_COLUMNS, _grid(table, full)))
    return _joined(parts)


def _grid(table: Table, columns: Sequence[TextColumn]) -> str:
    if not table.rows:
        return ""
    rules = ["---" if column.column.align == "left" else "--:" for column in columns]
    head = [escape(table.rows_title), *(escape(column.column.title) for column in columns)]
    lines = [head, ["---", *rules]]
    for row in table.rows:
        lines.append([_label(row), *(_cell(table, row, column) for column in columns)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _label(row: Row) -> str:
    name = escape(row.label)
    return f"*{name}*" if row.kind == "reference" else name


def _cell(table: Table, row: Row, column: TextColumn) -> str:
    """Return a cell; the headline value of the best row is bold."""
    text = escape_cell(column.text(row))
    if not row.best or column.column.key != table.lead or column.part == "interval":
        return text
    value, space, interval = text.partition(" ")
    return f"**{value}**{space}{interval}"


def escape_cell(text: str) -> str:
    """Return a cell's text as text; the brackets of an interval are no link."""
    if re.fullmatch(r"[^\\`*<>|_\[\]]*\[[^\\`*<>|_\[\]]*\]", text):
        return text
    return escape(text)


INLINE: Mapping[type, Callable[[Any], str]] = {
    str: _inline,
    Strong: lambda part: f"**{escape(part.text)}**",
    Code: lambda part: code(part.text),
    Chip: lambda part: _inline(part.text),
}
WRITERS: Mapping[type, Callable[[Any], str]] = {
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
