"""How numbers are written, the same in every report: enough digits to compare, none to impress."""

from __future__ import annotations

from bench.core.counting import percent
from bench.quality.statistics import Difference, Estimate

NOTHING = "–"


def quality(value: float) -> str:
    return f"{value:.4f}"


def interval(estimate: Estimate) -> str:
    return f"[{estimate.low:.3f}, {estimate.high:.3f}]"


def signed_interval(difference: Difference) -> str:
    return f"[{difference.low:+.3f}, {difference.high:+.3f}]"


def change(value: float) -> str:
    return f"{value:+.4f}"


def tested(difference: Difference) -> str:
    """Return a difference with its interval and p, for a sentence."""
    p = p_value(difference.p)
    return f"{change(difference.mean)} {signed_interval(difference)} (p {p})"


def p_value(p: float) -> str:
    if p < 0.001:
        return "<.001"
    if p < 1:
        return f"{p:.3f}".lstrip("0")
    return "1"


def milliseconds(value: float | None) -> str:
    if value is None:
        return NOTHING
    if value >= 100:
        return f"{value:,.0f}"
    for limit, digits in ((10, 1), (0.1, 2)):
        if value >= limit:
            return f"{value:.{digits}f}"
    return f"{value:.3f}"


def rate(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"


def gib(size: float) -> str:
    return f"{size / (1 << 30):.2f} GiB"


def size(value: float) -> str:
    """Return bytes in the unit that is read at once."""
    for unit, name in ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")):
        if value >= unit:
            digits = 1
            if value >= 100 * unit:
                digits = 0
            return f"{value / unit:.{digits}f} {name}"
    return f"{value:.0f} B"


def seconds(value: float) -> str:
    """Return seconds of work that took any time from a moment to hours."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.2g}" if value < 10 else f"{value:.1f}"


def share(value: float) -> str:
    """Return a share in per cent, one digit more where it is small, and never a small one as 0."""
    if not value:
        return "0"
    if value < 0.001:
        return "<0.1 %"
    if value < 0.1:
        return percent(value, 1)
    return percent(value)


def dollars(value: float) -> str:
    """Return US dollars without the sign, to the cent, and finer where a cent says too little."""
    if value >= 1 or not value:
        return f"{value:,.2f}"
    if value >= 0.01:
        return f"{value:.3f}"
    return f"{value:.2g}"


def duration(seconds: float) -> str:
    """Return seconds, minutes or hours, whichever is read at once."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    if seconds < 100 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
