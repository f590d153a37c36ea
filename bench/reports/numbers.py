"""How numbers are written, the same in every report: enough digits to compare, none to impress."""

from __future__ import annotations

from collections.abc import Callable

from bench.latency.columns import Format
from bench.quality.statistics import Difference, Estimate

NOTHING = "–"


def quality(value: float) -> str:
    return f"{value:.4f}"


def interval(estimate: Estimate) -> str:
    return f"[{estimate.low:.3f}, {estimate.high:.3f}]"


def change(difference: Difference) -> str:
    return f"{difference.mean:+.4f}"


def p_value(p: float) -> str:
    return "<.001" if p < 0.001 else f"{p:.3f}".lstrip("0") if p < 1 else "1"


def milliseconds(value: float | None) -> str:
    if value is None:
        return NOTHING
    return (
        f"{value:.0f}"
        if value >= 100
        else f"{value:.1f}"
        if value >= 10
        else f"{value:.2f}"
        if value >= 0.1
        else f"{value:.3f}"
    )


def ranged(
    value: float | None, low: float | None, high: float | None, form: Callable[[float | None], str]
) -> str:
    """A value with its interval, both written by `form`; without one where there is none, or where
    one sample gave no width.
    """
    if value is None or low is None or high is None or low == high:
        return form(value)
    return f"{form(value)} [{form(low)}, {form(high)}]"


def rate(value: float | None) -> str:
    if value is None:
        return NOTHING
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"


def gib(size: float | None) -> str:
    return f"{size / (1 << 30):.2f} GiB" if size else NOTHING


def form(format_: Format) -> Callable[[float | None], str]:
    """Return the function that writes the numbers of a column."""
    return {Format.MILLISECONDS: milliseconds, Format.RATE: rate, Format.BYTES: gib}[format_]


def share(value: float) -> str:
    """A share as per cent; a small one is never shown as none."""
    percent = 100 * value
    return (
        "0"
        if not value
        else "<0.1 %"
        if percent < 0.1
        else f"{percent:.1f} %"
        if percent < 10
        else f"{percent:.0f} %"
    )


def dollars(value: float | None) -> str:
    """US dollars without the sign, to the cent, and finer where a cent says too little."""
    if value is None:
        return NOTHING
    return (
        f"{value:,.2f}"
        if value >= 1 or not value
        else f"{value:.3f}"
        if value >= 0.01
        else f"{value:.2g}"
    )


def duration(seconds: float) -> str:
    """Seconds, minutes or hours, whichever is read at once."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 100 * 60 else f"{seconds / 3600:.1f} h"
