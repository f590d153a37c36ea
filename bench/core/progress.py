"""How the runner tells what it is doing, without knowing who listens: a terminal, a notebook, a
test, nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

Advance = Callable[[int], None]


class Observer:
    """Told about each stage of a run. This one stays silent; subclasses draw progress bars or print
    lines.
    """

    @contextmanager
    def task(self, label: str, total: int, unit: str) -> Iterator[Advance]:
        """A stage of `total` units; the function given is called with the units that got done."""
        yield lambda done: None

    def note(self, text: str) -> None:
        """One line that the user should see once."""
