"""The main table in a terminal: full at 120 columns, the essentials at 80. Progress bars with the
time left.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from bench.comparison.agreement import agreements
from bench.core.counting import counted
from bench.core.progress import Advance, Observer
from bench.records.rows import Row, candidates_of, groups, measures_of
from bench.records.run import Run
from bench.reports import agreement, latency_only, timings
from bench.reports.cells import COST, DELTA, FAILED, cells, columns
from bench.reports.fitting import EDGES, LEAST_LABEL, fitting, leading, left_out
from bench.reports.notes import notes
from bench.reports.summary import absent

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

WIDE = 118
NUMBER = 6
TIMES = ("p50 ms", "p95 ms", "pairs/s")


def print_run(run: Run, console: Console) -> None:
    """Every group's table, then what to know about it."""
    from rich.text import Text

    table, agreed, bare = run.rows, agreements(run), latency_only.tables(run)
    own, shared = notes(table, lambda row: row.name)
    for (dataset, first_stage, depth), members in groups(table).items():
        head, tail = (
            Text.assemble("\n", (dataset, "bold"), ", "),
            f"{first_stage}, {candidates_of(members)}",
        )
        if reason := _reason_of_all(members):
            console.print(Text.assemble(head, f"{tail}\n  failed: {reason}"))
            continue
        measures = measures_of(members)
        queries = next(
            (row.quality[measures[0]].n for row in members if measures and row.quality), 0
        )
        console.print(Text.assemble(head, f"{counted(queries, 'query')}, {tail}"))
        _print_table([row for row in members if row.status == "done"], measures, console)
        for status in ("failed", "skipped"):
            for why, names in absent(members, status).items():
                console.print(Text(f"{', '.join(names)} {status}: {why}"))
        if timings.has_requests(members):
            console.print(Text(timings.REQUEST_NOTE, "dim"))
        for lines in _timings(members, console.width):
            _print_plain(lines, console)
        if found := agreed.get((dataset, first_stage, depth)):
            console.print(Text(agreement.TITLE, "dim"))
            _print_plain([agreement.head(found), *agreement.lines(found, members)], console)
        if apart := bare.get((dataset, first_stage, depth)):
            _print_latency_only(apart, console)
        for text in own[dataset, first_stage, depth]:
            console.print(Text(text, "dim"))
    if shared:
        console.print()
    for text in (*shared, *run.info.warnings):
        console.print(Text(text, "dim"))


def _reason_of_all(members: Sequence[Row]) -> str | None:
    """Return why a whole group failed, its first stage's own row among it; None where some of it
    ran.
    """
    reasons = {row.reason for row in members if row.status != "skipped"}
    failed = [row for row in members if row.status == "failed" and row.trial.kind == "reference"]
    return next(iter(reasons)) if failed and len(reasons) == 1 else None


def _print_latency_only(bare: latency_only.Bare, console: Console) -> None:
    from rich.text import Text

    console.print(Text(latency_only.TITLE, "bold"))
    if bare.lines:
        _print_plain([list(bare.lines[0]), *(list(line.values()) for line in bare.lines)], console)
    for text in (*bare.notes, *bare.absent):
        console.print(Text(text, "dim"))


def _print_table(members: Sequence[Row], measures: Sequence[str], console: Console) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    labels = [_label(row) for row in members]
    longest = max((label.cell_len for label in labels), default=LEAST_LABEL)
    lines = [cells(row, measures) for row in members]
    widths = {
        name: max(len(name), NUMBER, *(len(line.get(name, "")) for line in lines)) + 2
        for name in columns(members, measures)
    }
    shown = fitting(
        widths,
        console.width,
        longest,
        [*measures[:1], DELTA, FAILED, *measures[1:2], *TIMES, *measures[2:], COST],
    )
    room = console.width - EDGES - sum(widths[name] for name in shown)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1), collapse_padding=True)
    table.add_column("reranker", overflow="fold", width=min(longest, max(LEAST_LABEL, room)))
    for name in shown:
        table.add_column(name, justify="right", no_wrap=True)
    for label, line in zip(labels, lines, strict=True):
        table.add_row(label, *(line.get(name, "") for name in shown))
    console.print(table)
    if text := left_out(widths, shown, console.width):
        console.print(Text(text, "dim"))


def _timings(members: Sequence[Row], width: int) -> Iterator[Sequence[Sequence[str]]]:
    """The tables of every scenario with its intervals and of where the time goes: where there is
    room, or where nothing else shows them.
    """
    names = {
        row.trial.id: row.name if row.trial.device == "-" else f"{row.name} ({row.trial.device})"
        for row in members
    }
    if lines := timings.full(members, names):
        if width >= WIDE or not timings.is_plain(members):
            yield lines
        if width >= WIDE:
            yield from timings.parts(members, names)


def _print_plain(lines: Sequence[Sequence[str]], console: Console) -> None:
    """Print a table of texts, header first and names in its first column; columns for which there
    is no room are left out from the right, and named.
    """
    from rich import box
    from rich.cells import cell_len
    from rich.table import Table
    from rich.text import Text

    columns = [[cell_len(cell) for cell in column] for column in zip(*lines, strict=True)]
    longest = max(columns[0])
    widths = {name: max(cells) + 2 for name, cells in zip(lines[0][1:], columns[1:], strict=True)}
    shown = leading(widths, console.width, longest)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1), collapse_padding=True)
    table.add_column(lines[0][0], overflow="fold", min_width=min(longest, LEAST_LABEL))
    for i, name in enumerate(shown):
        table.add_column(name, justify="left" if i == 0 else "right", no_wrap=True)
    for line in lines[1:]:
        table.add_row(*map(Text, line[: len(shown) + 1]))
    console.print(table)
    if text := left_out(widths, shown, console.width):
        console.print(Text(text, "dim"))


def _label(row: Row) -> Text:
    from rich.text import Text

    name = Text(row.name, "italic" if row.trial.kind == "reference" else "")
    return name if row.trial.device == "-" else name.append(f" ({row.trial.device})", "dim")


class TerminalObserver(Observer):
    """Progress bars with the time left where there is a terminal; one line per finished stage where
    there is none.
    """

    def __init__(self, console: Console) -> None:
        self.console = console

    @contextmanager
    def task(self, label: str, total: int, unit: str) -> Iterator[Advance]:
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        label_column, unit_column = (
            TextColumn(text, markup=False) for text in ("{task.description}", unit)
        )
        columns = (label_column, BarColumn(bar_width=20), MofNCompleteColumn(), unit_column)
        progress = Progress(
            *columns,
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=self.console,
            transient=self.console.is_terminal,
        )
        with progress:
            task = progress.add_task(label, total=total)
            yield lambda done: progress.advance(task, done)
            progress.update(task, completed=total)

    def note(self, text: str) -> None:
        from rich.text import Text

        self.console.print(Text(text, "yellow"), soft_wrap=True)
