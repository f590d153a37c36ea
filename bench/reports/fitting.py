"""Which columns of a table a terminal has room for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

LEAST_LABEL = 16
READABLE_LABEL = 32
EDGES = 3
"""Characters at the sides of a table."""


def fitting(widths: Mapping[str, int], width: int, longest: int, first: Sequence[str]) -> list[str]:
    """Return the columns that fit, in the table's order. `widths` are their characters with the
    space between, `longest` is the longest name of a row: names fold before a column of `first`
    gives way, and all others give way before names fold.
    """
    kept: set[str] = set()
    for name in [*first, *(name for name in widths if name not in first)]:
        label = min(longest, LEAST_LABEL if name in first else READABLE_LABEL)
        if name in widths and EDGES + label + sum(widths[one] for one in {*kept, name}) <= width:
            kept.add(name)
    return [name for name in widths if name in kept]


def leading(widths: Mapping[str, int], width: int, longest: int) -> list[str]:
    """Return the columns that fit from the left on, for a table whose columns are in the order of
    their importance: the first that does not fit ends it, and a name folds at half of the width.
    """
    used = EDGES + min(longest, width // 2)
    kept: list[str] = []
    for name, characters in widths.items():
        used += characters
        if used > width:
            break
        kept.append(name)
    return kept


def left_out(widths: Mapping[str, int], kept: Sequence[str], width: int) -> str:
    """Return which columns did not fit, and where they are; empty where all did."""
    names = [name for name in widths if name not in kept]
    return (
        f"at {width} columns: {', '.join(names)} left out; a wider terminal shows more"
        if names
        else ""
    )
