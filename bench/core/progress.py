"""How the runner reports its progress, without knowing who listens: a terminal, a notebook, a
test, nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

Advance = Callable[[int], None]


class Observer:
    """Takes each stage of a run. This one stays silent; subclasses draw progress bars or print
    lines.
    """

    notes: Sequence[str] = ()
    """The lines that the user has seen."""

    @contextmanager
    def task(self, label: str, total: int, unit: str) -> Iterator[Advance]:
        """Yield a function for a stage of `total` units: it is called with the units that are
        done.
        """
        yield lambda done: None

    def value(self, text: str) -> None:
        """Take what the stage at work has come to so far, such as a measure."""

    def note(self, text: str) -> None:
        """Take one line that the user should see once."""

    def waits(self, text: str) -> None:
        """Take one line about what the work waits for, or that it has what it waited for."""
        self.note(text)


_WATCHER: ContextVar[Observer | None] = ContextVar("watcher", default=None)


@contextmanager
def watching(observer: Observer) -> Iterator[None]:
    """Have what takes long inside the block, however deep in it, report to this observer."""
    token = _WATCHER.set(observer)
    try:
        yield
    finally:
        _WATCHER.reset(token)


def watcher() -> Observer:
    """Return who watches the work at hand; a silent one where nobody does."""
    return _WATCHER.get() or Observer()
