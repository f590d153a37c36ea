"""What a report says, as blocks: no markup of any page, and no width of any screen.

A section makes blocks of a run; a renderer writes blocks for a terminal, a comment, a page or a
program. Text is plain text, whatever it holds: each renderer escapes it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from bench.reports.cells import Cell, missing
from bench.reports.charts.svg import Mark
from bench.reports.drill import PageData

Better = Literal["", "higher", "lower"]
"""Which of two numbers is good."""


@dataclass(frozen=True)
class Strong:
    """A name that stands out."""

    text: str


@dataclass(frozen=True)
class Code:
    """A command, a key, a file."""

    text: str


@dataclass(frozen=True)
class Chip:
    """A word in the shape that a chart gives to what it names: `relevant`, `better`, ..."""

    text: str
    shape: str


Inline = str | Strong | Code | Chip
Words = tuple[Inline, ...]


def plain(words: Words) -> str:
    """Return words without their marks."""
    parts = [part if isinstance(part, str) else part.text for part in words]
    return "".join(parts)


@dataclass(frozen=True)
class Heading:
    """The title of a group inside a section. `detail` is set smaller, after it."""

    text: str
    detail: str = ""
    level: Literal[3, 4] = 3


@dataclass(frozen=True)
class Paragraph:
    """Words. A `quiet` one explains what is next to it."""

    words: Words
    quiet: bool = False


@dataclass(frozen=True)
class Bullets:
    """A list. Of `one_line` items, a narrow terminal shows the beginning."""

    items: Sequence[Words]
    one_line: bool = False


@dataclass(frozen=True)
class Facts:
    """Names with their values. As `tiles`, they repeat in large what a page says in words."""

    items: Mapping[str, str]
    layout: Literal["facts", "glossary", "tiles"] = "facts"


@dataclass(frozen=True)
class Preformatted:
    """A file or a command, letter by letter."""

    text: str


@dataclass(frozen=True)
class Column:
    """A column of a table.

    `better` says which numbers are good. A narrow terminal leaves out the columns with the greatest
    `priority` first, and of equal ones the rightmost. Pages set intervals under their values;
    `interval` says where text has them: next to the value, so in comments only, in a column of
    their own (comments: next to the value), or nowhere. A comment folds a `detail` away. A terminal
    never leaves out a column that is `needed`: it shortens names instead.
    """

    key: str
    title: str
    meaning: str = ""
    align: Literal["left", "right"] = "right"
    better: Better = ""
    priority: int = 5
    interval: Literal["value", "comment", "own", "page"] = "page"
    detail: bool = False
    below: str = ""
    needed: bool = False


@dataclass(frozen=True)
class Row:
    """A row of a table: a name, a device where there is one, cells by the key of their column."""

    name: str
    cells: Mapping[str, Cell]
    device: str = ""
    kind: str = ""
    mark: Mark | None = None
    best: bool = False
    notes: Sequence[int] = ()
    id: str = ""

    @property
    def label(self) -> str:
        return labelled(self.name, self.device)

    def cell(self, key: str) -> Cell:
        """Return the cell in a column; an empty one where the row has none."""
        return self.cells.get(key, missing())


@dataclass(frozen=True)
class Absent:
    """A row without results, and why."""

    name: str
    device: str
    status: str
    reason: str

    @property
    def label(self) -> str:
        return labelled(self.name, self.device)


@dataclass(frozen=True)
class Note:
    """What to know before trusting rows. A `shared` one is the same under several tables, and a
    text report prints it once, at the end.
    """

    about: str
    text: str
    shared: bool = False

    @property
    def full(self) -> str:
        return f"{self.about}: {self.text}" if self.about else self.text


@dataclass(frozen=True)
class Table:
    """Typed cells in columns. `caption` says aloud what the table holds; `key` is its name in the
    page's addresses; `style` is the style sheet's.
    """

    rows_title: str
    columns: Sequence[Column]
    rows: Sequence[Row]
    caption: str
    absent: Sequence[Absent] = ()
    notes: Sequence[Note] = ()
    key: str = ""
    style: Literal["", "main", "overview", "moved"] = ""
    sortable: bool = False

    @property
    def lead(self) -> str | None:
        """Return the key of the headline column, which no terminal leaves out."""
        first = min(self.columns, key=lambda column: column.priority, default=None)
        return first.key if first else None


@dataclass(frozen=True)
class Figure:
    """A picture of a page, as `svg`. `devices` are those that a
    reader can hide, `reading` says what the shapes mean, `blocks` are the picture's numbers.
    """

    title: Words
    svg: str = ""
    mark: Mark | None = None
    detail: str = ""
    reading: str = ""
    legend: Sequence[tuple[Mark, str]] = ()
    front: bool = False
    devices: Sequence[str] = ()
    blocks: Sequence[Block] = ()


@dataclass(frozen=True)
class Fold:
    """Blocks that open on a click. A `part` is one group's share of a section."""

    summary: Words
    blocks: Sequence[Block]
    is_open: bool = False
    style: Literal["", "part", "inner"] = ""


@dataclass(frozen=True)
class Card:
    """Blocks in a frame; `style` is the style sheet's."""

    blocks: Sequence[Block]
    style: str = ""


@dataclass(frozen=True)
class Grid:
    """Blocks next to each other where there is room."""

    blocks: Sequence[Block]
    style: Literal["cards", "small-multiples"] = "cards"


@dataclass(frozen=True)
class Drill:
    """The page's view into single queries, drawn by its script from `data`."""

    data: PageData


Block = (
    Heading
    | Paragraph
    | Bullets
    | Facts
    | Preformatted
    | Table
    | Figure
    | Fold
    | Card
    | Grid
    | Drill
)


@dataclass(frozen=True)
class Section:
    """A part of a document.

    The first sections carry no title in a terminal and in a comment (`titled`); a `folded` one
    opens on a click in a comment; a `wide` one is left out of a terminal of few columns.
    """

    key: str
    title: str
    blocks: Sequence[Block]
    titled: bool = True
    folded: bool = False
    wide: bool = False


@dataclass(frozen=True)
class Check:
    """A question with its answer, as CI systems count it. `suite` is what it belongs to, `title`
    is short, `name` tells it from all others; `level` is how loudly it is said, empty where
    nobody needs to hear it.
    """

    suite: str
    name: str
    title: str
    text: str
    outcome: str
    result: Literal["passed", "failed", "error", "skipped"]
    level: Literal["", "error", "warning", "notice"]


@dataclass(frozen=True)
class Checks:
    """The checks of a document, what to know about them, and their outcome in one line."""

    name: str
    started: str
    items: Sequence[Check]
    notes: Sequence[str]
    summary: str
    level: Literal["error", "notice"]


Record = dict[str, Any]
"""What programs get of one thing: plain values by name, as JSON or as a line of CSV."""


@dataclass(frozen=True)
class Document:
    """A report. `data` is what programs get as JSON, `records` as CSV, `checks` what CI systems
    count.
    """

    title: str
    sections: Sequence[Section]
    lede: str = ""
    meta: Words = ()
    data: Any = None
    records: Sequence[Record] = ()
    checks: Checks | None = None


def labelled(name: str, device: str) -> str:
    """Return a name with its device, where it has one."""
    return f"{name} ({device})" if device else name


def by_reason(absent: Sequence[Absent], status: str) -> dict[str, list[str]]:
    """Return reason -> the names of the rows that share it, each once."""
    reasons: dict[str, list[str]] = {}
    for row in absent:
        if row.status != status:
            continue
        names = reasons.setdefault(row.reason, [])
        if row.label not in names:
            names.append(row.label)
    return reasons


def absences(absent: Sequence[Absent]) -> list[str]:
    """Return a line per reason: who failed or was skipped for it."""
    lines = []
    for status in ("failed", "skipped"):
        reasons = by_reason(absent, status)
        lines += [f"{', '.join(names)} {status}: {why}" for why, names in reasons.items()]
    return lines
