"""The numbers that a scenario reports: what each is, when it may be shown, how a table writes it.

A percentile q is withheld until the largest sample lies above it with 95 % confidence: n >= ln 0.05
/ ln q independent samples, 59 for p95 and 299 for p99.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple


class Format(StrEnum):
    """How a number is written."""

    MILLISECONDS = "milliseconds"
    RATE = "rate"
    BYTES = "bytes"


class Better(StrEnum):
    """Which of two values a reader prefers."""

    LOWER = "lower"
    HIGHER = "higher"


class Interval(NamedTuple):
    """A value with its 95 % interval, or with its range over rounds. None is withheld, or not
    known.
    """

    value: float | None
    low: float | None = None
    high: float | None = None


WITHHELD = Interval(None)


@dataclass(frozen=True)
class Column:
    """A number of a summary. `needs` is the number of distinct queries below which it is withheld.

    A column of the `record` is not computed from samples: the timed pass wrote its value down.
    """

    key: str
    title: str
    unit: str
    format: Format
    better: Better
    needs: int = 1
    of_record: bool = False


def needed(q: float) -> int:
    """Return the fewest distinct queries for which the percentile q may be shown: 59 for .95, 299
    for .99.
    """
    return math.ceil(math.log(0.05) / math.log(q))


def _milliseconds(key: str, title: str, needs: int = 1) -> Column:
    return Column(key, title, "ms", Format.MILLISECONDS, Better.LOWER, needs)


P50 = _milliseconds("p50_ms", "p50 ms")
P95 = _milliseconds("p95_ms", "p95 ms", needed(0.95))
P99 = _milliseconds("p99_ms", "p99 ms", needed(0.99))
MEAN = _milliseconds("mean_ms", "mean ms")
PER_PAIR = _milliseconds("per_pair_ms", "ms/pair")
PAIRS_PER_S = Column("pairs_per_s", "pairs/s", "pairs/s", Format.RATE, Better.HIGHER)
ENERGY = Column(
    "joules_per_1000_pairs",
    "J/1k pairs",
    "J per 1000 pairs",
    Format.RATE,
    Better.LOWER,
    of_record=True,
)
MEMORY = Column("peak_rss_bytes", "memory", "bytes", Format.BYTES, Better.LOWER, of_record=True)
PERCENTILES = ((0.5, P50), (0.95, P95), (0.99, P99))
