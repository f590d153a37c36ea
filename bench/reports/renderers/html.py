"""A document as one HTML file that opens from disk: a template, one style sheet, one script, the
drill-down's data; no address but itself.

The content security policy names the style sheet and the script by their hashes and forbids
everything else, so that text from a collection could run nothing even if it slipped past the
escaping.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any

from markupsafe import Markup

from bench.core.version import version
from bench.reports.cells import Cell, missing
from bench.reports.document import (
    Block,
    Bullets,
    Card,
    Chip,
    Code,
    Column,
    Document,
    Drill,
    Facts,
    Figure,
    Fold,
    Grid,
    Heading,
    Note,
    Paragraph,
    Preformatted,
    Row,
    Section,
    Strong,
    Table,
    Words,
)

CONTROLS = {code: chr(0x2400 + code) for code in range(32) if chr(code) not in "\t\n\r"} | {
    0x7F: "␡"
}
"""Control characters as pictures: HTML has no way to carry them."""
IN_SCRIPT = {
    "<": "\\u003c",
    ">": "\\u003e",
    "&": "\\u0026",
    "\u2028": "\\u2028",
    "\u2029": "\\u2029",
    "\x7f": "\\u007f",
}
BADGES = {
    "better": ("▲", "better", "significantly better than the first stage"),
    "worse": ("▼", "worse", "significantly worse than the first stage"),
    "same": ("≈", "no difference shown", "no difference to the first stage shown"),
}
FRONT = Markup(
    '<li><svg viewBox="0 0 24 16" class="swatch long" aria-hidden="true">'
    '<line x1="0" x2="24" y1="8" y2="8" class="front"/></svg> Pareto front</li>'
)
NO_SCRIPT = Markup(
    '<p class="empty no-script">Looking into single queries needs JavaScript; the tables and '
    "charts do not.</p>"
)


def render(document: Document) -> str:
    """Return the whole page."""
    style, script = asset("report.css"), asset("report.js")
    policy = (
        f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )
    html: str = _template().render(
        policy=policy,
        style=Markup(style),
        script=Markup(script),
        version=version(),
        document=document,
        meta=words(document.meta),
        sections=[(section, blocks(section.blocks)) for section in document.sections],
        data=for_script(_drill_data(document.sections)),
    )
    return html.translate(CONTROLS)


def fragment(document: Document) -> str:
    """Return a document's sections as HTML without a page, for a notebook."""
    parts = [
        Markup("<p><b>{}</b></p>{}").format(section.title, blocks(section.blocks))
        for section in document.sections
    ]
    return str(Markup("").join(parts)).translate(CONTROLS)


def words(parts: Words) -> Markup:
    """Return words with their marks, escaped."""
    return Markup("").join(INLINE[type(part)](part) for part in parts)


def blocks(parts: Iterable[Block]) -> Markup:
    return Markup("\n").join(WRITERS[type(block)](block) for block in parts)


def for_script(data: Any) -> Markup:
    """Return JSON that is inside a script element and cannot end it."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    for letter, written in IN_SCRIPT.items():
        text = text.replace(letter, written)
    return Markup(text)


def asset(name: str) -> str:
    folder = resources.files("bench.reports.renderers").joinpath("assets")
    return folder.joinpath(name).read_text(encoding="utf-8")


def _drill_data(sections: Sequence[Section]) -> Mapping[str, Any]:
    for section in sections:
        for block in section.blocks:
            if type(block) is Drill:
                return block.data
    return {"groups": [], "docs": [], "cut": 0, "texts": False}


def _heading(heading: Heading) -> Markup:
    level = heading.level
    if not heading.detail:
        return Markup("<h{0}><bdi>{1}</bdi></h{0}>").format(level, heading.text)
    form = Markup('<h{0}><bdi>{1}</bdi> <span class="count">{2}</span></h{0}>')
    return form.format(level, heading.text, heading.detail)


def _paragraph(paragraph: Paragraph) -> Markup:
    style = Markup(' class="below"') if paragraph.quiet else Markup("")
    return Markup("<p{}>{}</p>").format(style, words(paragraph.words))


def _bullets(bullets: Bullets) -> Markup:
    items = Markup("").join(Markup("<li>{}</li>").format(words(item)) for item in bullets.items)
    return Markup("<ul>{}</ul>").format(items)


def _facts(facts: Facts) -> Markup:
    item = Markup("<div><dt>{}</dt><dd>{}</dd></div>")
    items = Markup("\n").join(item.format(name, value) for name, value in facts.items.items())
    return Markup('<dl class="{}">{}</dl>').format(facts.layout, items)


def _preformatted(block: Preformatted) -> Markup:
    return Markup('<pre tabindex="0">{}</pre>').format(block.text)


def _figure(figure: Figure) -> Markup:
    attributes = Markup('class="card"')
    if figure.devices:
        devices = json.dumps(list(figure.devices))
        attributes = Markup('class="card filterable" data-devices="{}"').format(devices)
    caption, legend = Markup(""), Markup("")
    if figure.title:
        detail = Markup("")
        if figure.detail:
            detail = Markup(' <span class="auc">{}</span>').format(figure.detail)
        name = Markup('<span class="who">{}<span>{}</span></span>')
        title = name.format(_swatch(figure.mark), words(figure.title))
        caption = Markup("<figcaption>{}{}</figcaption>").format(title, detail)
    if figure.legend:
        items = [Markup("<li>{} {}</li>").format(_swatch(mark), n) for mark, n in figure.legend]
        items += [FRONT] if figure.front else []
        legend = Markup('<ul class="legend">{}</ul>').format(Markup("").join(items))
    reading = Markup("")
    if figure.reading:
        reading = Markup('<p class="below">{}</p>').format(figure.reading)
    chart, inner = Markup(figure.svg), blocks(figure.blocks)
    form = Markup("<figure {}>{}{}{}{}{}</figure>")
    return form.format(attributes, caption, reading, chart, legend, inner)


def _fold(fold: Fold) -> Markup:
    style = Markup(' class="{}"').format(fold.style) if fold.style else Markup("")
    is_open = Markup(" open") if fold.is_open else Markup("")
    form = Markup("<details{}{}><summary><bdi>{}</bdi></summary>\n{}\n</details>")
    return form.format(style, is_open, words(fold.summary), blocks(fold.blocks))


def _card(card: Card) -> Markup:
    form = Markup('<article class="card {}">{}</article>')
    return form.format(card.style, blocks(card.blocks))


def _grid(grid: Grid) -> Markup:
    return Markup('<div class="{}">{}</div>').format(grid.style, blocks(grid.blocks))


def _drill(_: Drill) -> Markup:
    return Markup('<div id="drill" class="card" hidden></div>') + NO_SCRIPT


def _table(table: Table) -> Markup:
    classes = ["sortable"] if table.sortable else []
    classes += [table.style] if table.style != "plain" else []
    head = Markup("").join(_column(column) for column in table.columns)
    rows = Markup("\n").join(_row(row, table) for row in table.rows)
    form = Markup(
        '<div class="scroll" tabindex="0" role="region" aria-label="{}">\n<table class="{}">\n'
        '<thead><tr><th scope="col" data-kind="text">{}</th>{}</tr></thead>\n'
        "<tbody>\n{}\n</tbody>{}\n</table>\n</div>{}"
    )
    names = " ".join(classes)
    absent, notes = _absent(table), _notes(table)
    return form.format(table.caption, names, table.rows_title, head, rows, absent, notes)


def _column(column: Column) -> Markup:
    below = Markup("")
    if column.below:
        below = Markup('<span class="below"><bdi>{}</bdi></span>').format(column.below)
    attributes = Markup("")
    if column.meaning:
        attributes += Markup(' title="{}"').format(column.meaning)
    if column.align == "left":
        attributes += Markup(' data-kind="text" class="left"')
    elif column.better:
        attributes += Markup(' data-better="{}"').format(column.better)
    return Markup('<th scope="col"{}><bdi>{}</bdi>{}</th>').format(attributes, column.title, below)


def _row(row: Row, table: Table) -> Markup:
    kind = f"{row.kind}{' best' if row.best else ''}".strip()
    device = Markup("")
    if row.device:
        device = Markup(' <span class="device">({})</span>').format(row.device)
    if row.id and table.style == "moved":
        device = Markup(' <span class="id">{}</span>').format(row.id)
    references = [_reference(number, table) for number in row.notes]
    name = Markup('<span class="who">{}<span><bdi>{}</bdi>{}{}</span></span>')
    label = name.format(_swatch(row.mark), row.name, device, Markup("").join(references))
    cells = [_cell(row.cells.get(column.key, missing()), column) for column in table.columns]
    form = Markup('<tr class="{}"><th scope="row" data-sort="{}">{}</th>{}</tr>')
    return form.format(kind, row.name, label, Markup("").join(cells))


def _reference(number: int, table: Table) -> Markup:
    form = Markup('<a class="ref" href="#{0}-note{1}" aria-label="note {1}">{1}</a>')
    return form.format(table.key, number)


def _cell(cell: Cell, column: Column) -> Markup:
    sort = cell.number if column.align == "right" else cell.text
    attributes = Markup("")
    if sort is not None:
        attributes = Markup(' data-sort="{}"').format(sort)
    if column.align == "left":
        attributes += Markup(' class="left"')
    below = Markup("")
    if cell.interval or cell.below:
        title = Markup(' title="{}"').format(cell.reason) if cell.reason else Markup("")
        below = Markup('<span class="below"{}>{}</span>').format(title, cell.interval or cell.below)
    if cell.type == "missing":
        form = Markup('<td{}><span class="withheld" title="{}">{}</span>{}</td>')
        return form.format(attributes, cell.reason, cell.text, below)
    form = Markup('<td{}><span class="value">{}{}</span>{}</td>')
    return form.format(attributes, _badge(cell), cell.text, below)


def _badge(cell: Cell) -> Markup:
    if not cell.badge:
        return Markup("")
    sign, meaning, title = BADGES[cell.badge]
    form = Markup(
        '<span class="mark {}" title="{}"><span aria-hidden="true">{}</span>'
        '<span class="hidden">{}</span></span>'
    )
    return form.format(cell.badge, title, sign, meaning)


def _absent(table: Table) -> Markup:
    if not table.absent:
        return Markup("")
    form = Markup(
        '<tr class="{0}"><th scope="row">{1}</th>'
        '<td colspan="{2}" class="reason"><b>{0}</b> {3}</td></tr>'
    )
    width = len(table.columns)
    rows = [form.format(row.status, row.label, width, row.reason) for row in table.absent]
    return Markup('\n<tbody class="absent">{}</tbody>').format(Markup("").join(rows))


def _notes(table: Table) -> Markup:
    if not table.notes:
        return Markup("")
    items = [_note(note, number, table) for number, note in enumerate(table.notes, 1)]
    return Markup('\n<ol class="notes">{}</ol>').format(Markup("").join(items))


def _note(note: Note, number: int, table: Table) -> Markup:
    if not table.key:
        return Markup("<li>{}</li>").format(note.full)
    return Markup('<li id="{}-note{}">{}</li>').format(table.key, number, note.full)


def _swatch(mark: Any) -> Markup:
    return Markup(mark.swatch()) if mark else Markup("")


def _chip(chip: Chip) -> Markup:
    return Markup('<span class="{}">{}</span>').format(chip.shape, chip.text)


@cache
def _template() -> Any:
    from jinja2 import DictLoader, Environment, StrictUndefined

    environment = Environment(
        loader=DictLoader({"page": asset("page.html")}),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page")


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


INLINE: Mapping[type, Callable[[Any], Markup]] = {
    str: Markup.escape,
    Strong: lambda part: Markup("<b>{}</b>").format(part.text),
    Code: lambda part: Markup("<code>{}</code>").format(part.text),
    Chip: _chip,
}
WRITERS: Mapping[type, Callable[[Any], Markup]] = {
    Heading: _heading,
    Paragraph: _paragraph,
    Bullets: _bullets,
    Facts: _facts,
    Preformatted: _preformatted,
    Table: _table,
    Figure: _figure,
    Fold: _fold,
    Card: _card,
    Grid: _grid,
    Drill: _drill,
}
