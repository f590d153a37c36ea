"""How the runner reports its progress, without knowing who listens: a terminal, a notebook, a
test, nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

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
