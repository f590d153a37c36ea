"""The terminal that commands print to."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


def open_console(stderr: bool = False) -> Console:
    """A terminal as wide as it is; see `screen`."""
    from bench.reports.screen import screen

    return screen(stderr=stderr)
