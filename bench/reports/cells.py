"""Typed cells of a table: a value, what it is, and how it is written. Renderers place the parts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from bench.quality.statistics import Difference, Estimate
from bench.reports import numbers

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
REQUEST_MARK = "ʳ"
"""Next to the latency of a hosted service in a table that holds others' too."""


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


def missing(reason: str = "") -> Cell:
    """Return the cell of a value that there is not, and why."""
    return Cell("missing", numbers.NOTHING, reason=reason)


def count(value: int | None) -> Cell:
    return missing() if value is None else Cell("count", f"{value:,}", value)


def measure(estimate: Estimate | None) -> Cell:
    """Return the mean of a quality measure with its interval."""
    if estimate is None:
        return missing()
    low, high = estimate.low, estimate.high
    shown = numbers.quality(estimate.mean)
    return Cell("measure", shown, estimate.mean, low, high, numbers.interval(estimate))


def mean(value: float | None, badge: Badge = "") -> Cell:
    """Return a mean of a quality measure that has no interval."""
    if value is None:
        return missing()
    return Cell("measure", numbers.quality(value), value, badge=badge)


def judged(estimate: Estimate | None) -> Cell:
    """Return the share of judged documents, which needs no more than two digits."""
    if estimate is None:
        return missing()
    return Cell("measure", f"{estimate.mean:.2f}", estimate.mean)


def delta(difference: Difference | None, badge: Badge = "") -> Cell:
    """Return a paired difference with its interval."""
    if difference is None:
        return missing()
    low, high = difference.low, difference.high
    interval = numbers.signed_interval(difference)
    shown = numbers.change(difference)
    return Cell("delta", shown, difference.mean, low, high, interval, badge=badge)


def p(value: float | None) -> Cell:
    return missing() if value is None else Cell("p", numbers.p_value(value), value)


def share(value: float) -> Cell:
    return Cell("share", numbers.share(value), value)


def duration(
    ms: float | None,
    low: float | None = None,
    high: float | None = None,
    *,
    hosted: bool = False,
    reason: str = "",
) -> Cell:
    """Return milliseconds with their interval; `hosted` marks those with a network in them."""
    if ms is None:
        return missing(reason)
    mark = REQUEST_MARK if hosted else ""
    shown = f"{numbers.milliseconds(ms)}{mark}"
    return Cell("duration", shown, ms, low, high, _range(low, high, numbers.milliseconds))


def rate(value: float | None, low: float | None = None, high: float | None = None) -> Cell:
    if value is None:
        return missing()
    return Cell("rate", numbers.rate(value), value, low, high, _range(low, high, numbers.rate))


def money(usd: float | None, below: str = "") -> Cell:
    return missing() if usd is None else Cell("money", numbers.dollars(usd), usd, below=below)


def _range(low: float | None, high: float | None, form: numbers.Form) -> str:
    """Return an interval as it is written; empty where one sample gave no width."""
    if low is None or high is None or low == high:
        return ""
    return f"[{form(low)}, {form(high)}]"
