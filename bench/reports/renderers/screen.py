"""The terminal that tables and lines are printed to."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from bench.core.printable import printable

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.segment import Segment


def screen(**options: Any) -> Console:
    """Return a console without colours for numbers, markup and pictures for `:x:`, which prints no
    control character of any text. A text that has a style is a `Text`, so that a name from outside
    is printed as it is.
    """
    from rich.console import Console
    from rich.segment import Segment

    class Screen(Console):
        def render(
            self, renderable: RenderableType, options: ConsoleOptions | None = None
        ) -> Iterable[Segment]:
            for text, style, control in super().render(renderable, options):
                yield Segment(text if control else printable(text), style, control)

    return Screen(highlight=False, emoji=False, markup=False, **options)
