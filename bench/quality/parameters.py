"""What parameters of measures may be: libraries behind ir_measures take more, and compute something
else or end the process.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

LARGEST = 1_000_000_000
"""The largest cutoff and relevance threshold: libraries behind ir_measures count in 32 bits."""
LARGEST_GAIN = 1_000_000
"""trec_eval has a table of all grades up to the largest; where it finds no room for one, each query
has 0.
"""


def _is_whole(value: object, first: int, last: int) -> bool:
    return type(value) is int and first <= value <= last


def _is_limit(value: object) -> bool:
    return _is_whole(value, 1, LARGEST)


def _are_gains(value: object) -> bool:
    """Return whether it gives grades gains; what is no mapping is refused by ir_measures."""
    return not isinstance(value, dict) or all(
        type(grade) is int and _is_whole(gain, 0, LARGEST_GAIN) for grade, gain in value.items()
    )


def _is_written(largest: float, digits: int) -> Callable[[object], bool]:
    """Return the check of a number that trec_eval reads from a text of so many digits; what is no
    float is refused by ir_measures.
    """

    def is_written(value: object) -> bool:
        if not isinstance(value, float):
            return True
        return 0 <= value <= largest and round(value, digits) == value

    return is_written


_LIMIT = (f"a whole number from 1 to {LARGEST:,}", _is_limit)
_VALUES: Mapping[str, tuple[str, Callable[[object], bool]]] = {
    "cutoff": _LIMIT,
    "rel": _LIMIT,
    "gains": (
        f"a gain per grade, whole numbers from 0 to {LARGEST_GAIN:,}, such as {{1: 3}}",
        _are_gains,
    ),
    "recall": ("a number from 0.0 to 1.0, in hundredths", _is_written(1.0, 2)),
    "beta": ("a number from 0.0 to 1,000.0, in thousandths", _is_written(1000.0, 3)),
}
"""By parameter, what it may be, in words and as a check."""
_ANY = ("a number", lambda value: not isinstance(value, float) or math.isfinite(value))


def refused(parameter: str, value: object) -> str:
    """Return what a parameter must be, in words, where this value is not; empty where it is."""
    kind, is_sound = _VALUES.get(parameter, _ANY)
    return "" if is_sound(value) else kind
