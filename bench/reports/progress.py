"""Progress in a terminal: bars with the time left, and notes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from bench.core.progress import Advance, Observer
from bench.reports.renderers.terminal import shortened

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.progress import Progress, TaskID


BAR = 20
MIN_LABEL = 12
"""Columns of a label that are there however narrow a terminal is."""


def print_nothing(text: str) -> None:
    """Where no stage is at work, a value has no place."""


class QuietObserver(Observer):
    """No progress: a line alone about what the work waits for, which may take minutes."""

    def __init__(self, console: Console) -> None:
        self.console = console

    def waits(self, text: str) -> None:
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)


class TerminalObserver(Observer):
    """Progress bars with the time left where there is a terminal; one line per finished stage where
    there is none.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self.notes: list[str] = []
        self._show: Callable[[str], None] = print_nothing

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
        from rich.text import Text

        class Bar(Progress):
            """A bar, and the value of its stage on a line of its own: both are too wide for one."""

            def get_renderables(self) -> Iterator[RenderableType]:
                yield from super().get_renderables()
                for task in self.tasks:
                    if task.fields["value"]:
                        yield Text(task.fields["value"], overflow="ellipsis", no_wrap=True)

        label_column, unit_column = (
            TextColumn(text, markup=False) for text in ("{task.description}", unit)
        )
        label = shortened(label, self._room(total, unit))
        columns = (label_column, BarColumn(bar_width=BAR), MofNCompleteColumn(), unit_column)
        progress = Bar(
            *columns,
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=self.console,
            transient=self.console.is_terminal,
        )
        with progress:
            task = progress.add_task(label, total=total, value="")
            outer = self._show
            self._show = self._shower(progress, task)
            try:
                yield lambda done: progress.advance(task, done)
            finally:
                self._show = outer
            progress.update(task, completed=total)

    def value(self, text: str) -> None:
        self._show(text)

    def _shower(self, progress: Progress, task: TaskID) -> Callable[[str], None]:
        """Return what shows a value: below the bar, or as a line where there is none."""
        if self.console.is_terminal:
            return lambda text: progress.update(task, value=text)
        return lambda text: self.console.print(text, markup=False, soft_wrap=True)

    def _room(self, total: int, unit: str) -> int:
        """Return the columns of the terminal that a bar, its counts and its times leave."""
        counts = 2 * len(str(total)) + 1
        times = len("0:00:00 left 0:00:00")
        spaces = 6
        return max(MIN_LABEL, self.console.width - BAR - counts - len(unit) - times - spaces)

    def note(self, text: str) -> None:
        from rich.text import Text

        self.notes.append(text)
        self.console.print(Text(text, "yellow"), soft_wrap=True)
