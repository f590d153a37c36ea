"""How numbers are written, the same in every report: enough digits to compare, none to impress."""

from __future__ import annotations

from collections.abc import Callable

from bench.quality.statistics import Difference, Estimate

NOTHING = "–"
Form = Callable[[float | None], str]


def quality(value: float) -> str:
    return f"{value:.4f}"


def interval(estimate: Estimate) -> str:
    return f"[{estimate.low:.3f}, {estimate.high:.3f}]"


def signed_interval(difference: Difference) -> str:
    return f"[{difference.low:+.3f}, {difference.high:+.3f}]"


def change(difference: Difference) -> str:
    return f"{difference.mean:+.4f}"


def p_value(p: float) -> str:
    if p < 0.001:
        return "<.001"
    return f"{p:.3f}".lstrip("0") if p < 1 else "1"


def milliseconds(value: float | None) -> str:
    if value is None:
        return NOTHING
    for least, digits in ((100, 0), (10, 1), (0.1, 2)):
        if value >= least:
            return f"{value:.{digits}f}"
    return f"{value:.3f}"


def rate(value: float | None) -> str:
    if value is None:
        return NOTHING
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"


def gib(size: float | None) -> str:
    return f"{size / (1 << 30):.2f} GiB" if size else NOTHING


def share(value: float) -> str:
    """A share as per cent; a small one is never shown as none."""
    percent = 100 * value
    if not value:
        return "0"
    if percent < 0.1:
        return "<0.1 %"
    return f"{percent:.1f} %" if percent < 10 else f"{percent:.0f} %"


def dollars(value: float | None) -> str:
    """US dollars without the sign, to the cent, and finer where a cent says too little."""
    if value is None:
        return NOTHING
    if value >= 1 or not value:
        return f"{value:,.2f}"
    return f"{value:.3f}" if value >= 0.01 else f"{value:.2g}"


def duration(seconds: float) -> str:
    """Seconds, minutes or hours, whichever is read at once."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    if seconds < 100 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
