"""The main table in a terminal: full at 120 columns, the essentials at 80. Progress bars with the time left."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from bench.comparison.agreement import agreements
from bench.core.counting import counted
from bench.core.progress import Advance, Observer
from bench.records.rows import Row, groups, measures_of, notes_on, rows
from bench.records.run import Run
from bench.reports import agreement, latency_only, timings
from bench.reports.cells import DELTA, FAILED, cells, columns
from bench.reports.summary import absent

if TYPE_CHECKING:
    from rich.console import Console

WIDE = 118
NUMBER = 6
LEAST_LABEL = 16


def print_run(run: Run, console: Console) -> None:
    """Every group's table, then what to know about it."""
    from rich.markup import escape

    table, agreed, bare = rows(run), agreements(run), latency_only.tables(run)
    for (dataset, first_stage, depth), members in groups(table).items():
        head, tail = f"\n[bold]{escape(dataset)}[/bold], ", f"{escape(first_stage)}, {counted(depth, 'candidate')}"
        if reason := _reason_of_all(members):
            console.print(f"{head}{tail}\n  failed: {escape(reason)}")
            continue
        measures = measures_of(members)
        queries = next((row.quality[measures[0]].n for row in members if measures and row.quality), 0)
        console.print(f"{head}{counted(queries, 'query')}, {tail}")
        console.print(_table([row for row in members if row.status == "done"], measures, console.width))
        for status in ("failed", "skipped"):
            for why, names in absent(members, status).items():
                console.print(f"{escape(', '.join(names))} {status}: {escape(why)}", highlight=False)
        if timings.has_requests(members):
            console.print(f"[dim]{timings.REQUEST_NOTE}[/dim]")
        for lines in _timings(members, console.width):
            console.print(_plain_table(lines))
        if found := agreed.get((dataset, first_stage, depth)):
            console.print(f"[dim]{agreement.TITLE}[/dim]")
            console.print(_plain_table([agreement.head(found), *agreement.lines(found, members)]))
        if apart := bare.get((dataset, first_stage, depth)):
            _print_latency_only(apart, console)
    for text in run.info.warnings:
        console.print(f"[dim]{escape(text)}[/dim]")
    for members in groups(table).values():
        for about, note in notes_on(members):
            who = timings.about(about, members, {row.trial.id: row.name for row in members})
            console.print(f"[dim]{escape(who)}: {escape(note)}[/dim]")


def _reason_of_all(members: Sequence[Row]) -> str | None:
    """Return why a whole group failed, its first stage's own row among it; None where some of it ran."""
    reasons = {row.reason for row in members if row.status != "skipped"}
    failed = [row for row in members if row.status == "failed" and row.trial.kind == "reference"]
    return next(iter(reasons)) if failed and len(reasons) == 1 else None


def _print_latency_only(bare: latency_only.Bare, console: Console) -> None:
    from rich.markup import escape

    console.print(f"[bold]{latency_only.TITLE}[/bold]")
    if bare.lines:
        console.print(_plain_table([list(bare.lines[0]), *(list(line.values()) for line in bare.lines)]))
    for text in (*bare.notes, *bare.absent):
        console.print(f"[dim]{escape(text)}[/dim]")


def _table(members: Sequence[Row], measures: Sequence[str], width: int) -> object:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    labels = [_label(row) for row in members]
    essential = {*measures[:2], DELTA, "p50 ms", "p95 ms", "pairs/s", FAILED}
    shown = [name for name in columns(members, measures) if width >= WIDE or name in essential]
    longest = max((len(Text.from_markup(label).plain) for label in labels), default=LEAST_LABEL)
    lines = [cells(row, measures) for row in members]
    room = width - 3 - sum(max(len(name), NUMBER, *(len(line.get(name, "")) for line in lines)) + 2 for name in shown)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1), collapse_padding=True)
    table.add_column("reranker", overflow="fold", width=min(longest, max(LEAST_LABEL, room)))
    for name in shown:
        table.add_column(name, justify="right", no_wrap=True)
    for label, line in zip(labels, lines, strict=True):
        table.add_row(label, *(line.get(name, "") for name in shown))
    return table


def _timings(members: Sequence[Row], width: int) -> Iterator[Sequence[Sequence[str]]]:
    """The tables of every scenario with its intervals and of where the time goes: where there is room, or where nothing else shows them."""
    names = {row.trial.id: row.name if row.trial.device == "-" else f"{row.name} ({row.trial.device})" for row in members}
    if lines := timings.full(members, names):
        if width >= WIDE or not timings.is_plain(members):
            yield lines
        if width >= WIDE:
            yield from timings.parts(members, names)


def _plain_table(lines: Sequence[Sequence[str]]) -> object:
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1), collapse_padding=True)
    for i, name in enumerate(lines[0]):
        table.add_column(name, justify="left" if i < 2 else "right", overflow="fold")
    for line in lines[1:]:
        table.add_row(*(escape(cell) for cell in line))
    return table


def _label(row: Row) -> str:
    from rich.markup import escape

    name = escape(row.name) if row.trial.device == "-" else f"{escape(row.name)} [dim]({row.trial.device})[/dim]"
    return f"[italic]{name}[/italic]" if row.trial.kind == "reference" else name


class TerminalObserver(Observer):
    """Progress bars with the time left where there is a terminal; one line per finished stage where there is none."""

    def __init__(self, console: Console) -> None:
        self.console = console

    @contextmanager
    def task(self, label: str, total: int, unit: str) -> Iterator[Advance]:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(bar_width=20), MofNCompleteColumn(), TextColumn(unit))
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
        from rich.markup import escape

        self.console.print(f"[yellow]{escape(text)}[/yellow]", soft_wrap=True)
