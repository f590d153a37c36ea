"""Typed cells of a table: a value, what it is, and how it is written. Renderers place the parts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from bench.quality.statistics import Difference, Estimate
from bench.reports import numbers

Form = Callable[[float], str]
"""How a number is written."""
CellType = Literal[
    "text",
    "count",
    "measure",
    "delta",
    "p",
    "share",
    "duration",
    "rate",
    "money",
    "missing",
]
Badge = Literal["", "better", "worse", "same"]
"""What a test says of a difference, at 5 % after Holm's correction."""
UNKNOWN = "?"
"""In the place of a value that is there, and that nobody knows."""
REQUEST_MARK = "ʳ"
"""Next to the latency of a hosted service in a table that holds others' too."""
SEEN_MARK = "ᵗ"
"""Next to the quality of a row on a collection that a model of it was trained on."""


@dataclass(frozen=True)
class Cell:
    """A value of a table.

    `text` is the value as it is written and `interval` its 95 % interval; `number` is what it sorts
    by and what programs read, None where there is none. `below` is a remark, `reason` explains it,
    or why nothing is there. `badge` is the verdict of a test, and `sign` follows the value and is
    explained in a note.
    """

    type: CellType
    text: str
    number: float | None = None
    low: float | None = None
    high: float | None = None
    interval: str = ""
    below: str = ""
    badge: Badge = ""
    sign: str = ""
    reason: str = ""

    def plain(self) -> Any:
        """Return the cell as JSON: a number, a text, None, or a number with its interval."""
        value = self.text if self.type == "text" else self.number
        if self.low is None or self.high is None:
            return value
        return {"value": value, "low": self.low, "high": self.high}


def text(words: str) -> Cell:
    return Cell("text", words)


def missing(reason: str = "", words: str = numbers.NOTHING) -> Cell:
    """Return the cell of a value that is not there, and why."""
    return Cell("missing", words, reason=reason)


def number(
    kind: CellType,
    form: Form,
    value: float | None,
    low: float | None = None,
    high: float | None = None,
    *,
    badge: Badge = "",
    below: str = "",
) -> Cell:
    """Return a number as `form` writes it, with its interval where it has a width: one sample gives
    none.
    """
    if value is None:
        return missing()
    interval = ""
    if low is not None and high is not None and low != high:
        interval = f"[{form(low)}, {form(high)}]"
    return Cell(kind, form(value), value, low, high, interval, below, badge)


def count(value: int | None) -> Cell:
    return number("count", "{:,}".format, value)


def measure(estimate: Estimate | None) -> Cell:
    """Return the mean of a quality measure with its interval."""
    if estimate is None:
        return missing()
    cell = mean(estimate.mean)
    interval = numbers.interval(estimate)
    return replace(cell, low=estimate.low, high=estimate.high, interval=interval)


def seen(cell: Cell, families: Sequence[str]) -> Cell:
    """Return the cell of a quality, with a mark where a model of its row was trained on these
    families of its collection.
    """
    if cell.number is None or not families:
        return cell
    return replace(cell, text=f"{cell.text}{SEEN_MARK}")


def mean(value: float | None, badge: Badge = "") -> Cell:
    """Return a mean of a quality measure that has no interval."""
    return number("measure", numbers.quality, value, badge=badge)


def delta(difference: Difference | None, badge: Badge = "") -> Cell:
    """Return a paired difference with its interval."""
    if difference is None:
        return missing()
    cell = change(difference.mean, badge)
    interval = numbers.signed_interval(difference)
    return replace(cell, low=difference.low, high=difference.high, interval=interval)


def change(value: float, badge: Badge = "") -> Cell:
    """Return a difference that has no interval."""
    return number("delta", numbers.change, value, badge=badge)


def p(value: float | None) -> Cell:
    return number("p", numbers.p_value, value)


def share(value: float) -> Cell:
    return number("share", numbers.share, value)


def duration(
    ms: float | None,
    low: float | None = None,
    high: float | None = None,
    *,
    hosted: bool = False,
    reason: str = "",
) -> Cell:
    """Return milliseconds with their interval; `hosted` marks those with a network in them,
    `reason` says why there are none.
    """
    if ms is None:
        return missing(reason)
    cell = number("duration", numbers.milliseconds, ms, low, high)
    return replace(cell, text=f"{cell.text}{REQUEST_MARK}") if hosted else cell


def rate(value: float | None, low: float | None = None, high: float | None = None) -> Cell:
    return number("rate", numbers.rate, value, low, high)


def size(value: float | None, low: float | None = None, high: float | None = None) -> Cell:
    """Return bytes in GiB. A size has no interval, whatever is known of its range."""
    return number("count", numbers.gib, value)


def money(usd: float | None, below: str = "") -> Cell:
    return number("money", numbers.dollars, usd, below=below)


def bill(usd: float | None) -> Cell:
    """Return what is to be paid: a question mark where no price is known, nothing for what is
    free.
    """
    if usd is None:
        return missing(words=UNKNOWN)
    return money(usd or None)
