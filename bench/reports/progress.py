"""Progress in a terminal: bars with the time left, and notes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from bench.core.progress import Advance, Observer

if TYPE_CHECKING:
    from rich.console import Console


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
