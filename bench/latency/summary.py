"""Summaries of raw timings, computed on reading by the scenario that they are of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.latency.columns import (
    P50,
    P95,
    PAIRS_PER_S,
    PER_PAIR,
    WITHHELD,
    Column,
    Interval,
    needed,
)
from bench.latency.intervals import RESAMPLES
from bench.latency.sample import PARAMETERS, TOTAL, Condition, condition
from bench.latency.scenarios import reader

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["RESAMPLES", "Summary", "needed", "parts", "summarise", "timed_calls"]


@dataclass(frozen=True)
class Summary:
    """One trial under one condition: the numbers that its scenario reports, by the keys of their
    columns, with 95 % intervals.

    Milliseconds are of one call: a query where one is in flight, the whole pool in `offline`.
    """

    condition: Condition
    queries: int
    samples: int
    values: Mapping[str, Interval]

    @property
    def scenario(self) -> str:
        return self.condition.scenario

    def of(self, column: Column) -> Interval:
        """Return the number of a column, withheld where the scenario does not report it."""
        return self.values.get(column.key, WITHHELD)

    @property
    def p50_ms(self) -> float:
        """The median. Raises ValueError where the scenario does not report it."""
        median = self.of(P50).value
        if median is None:
            raise ValueError(f"{self.scenario} has no median")
        return median

    @property
    def p95_ms(self) -> float | None:
        return self.of(P95).value

    @property
    def per_pair_ms(self) -> float | None:
        return self.of(PER_PAIR).value

    @property
    def pairs_per_s(self) -> float | None:
        return self.of(PAIRS_PER_S).value


def timed_calls(samples: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of whole calls, from the columns of the table `latency`. Warm-ups and the
    parts of a call are left out.
    """
    return samples[~samples["warmup"].astype(bool) & (samples["span"] == TOTAL)]


def summarise(samples: pd.DataFrame, seed: int = 0) -> dict[tuple[str, Condition], Summary]:
    """Return (trial, condition) -> summary, from the columns of the table `latency`. Warm-ups
    are left out.
    """
    if samples.empty:
        return {}
    calls = timed_calls(samples)
    groups = calls.groupby(["trial", "scenario", *PARAMETERS], sort=False, dropna=False)
    return {
        (str(trial), condition(*of)): _summary(condition(*of), rows, seed)
        for (trial, *of), rows in groups
    }


def parts(samples: pd.DataFrame) -> dict[tuple[str, Condition], dict[str, float]]:
    """Return (trial, condition) -> the median milliseconds of each part of a call, in the order in
    which the parts were first seen.

    Parts of `single` come from calls of their own (more synchronised than those of its total), so
    that they need not add up to p50.
    """
    if samples.empty:
        return {}
    counted = samples[~samples["warmup"].astype(bool) & (samples["span"] != TOTAL)]
    groups = counted.groupby(["trial", "scenario", *PARAMETERS, "span"], sort=False, dropna=False)
    medians: dict[tuple[str, Condition], dict[str, float]] = {}
    for (trial, *of, span), nanoseconds in groups["nanoseconds"]:
        spans = medians.setdefault((str(trial), condition(*of)), {})
        spans[str(span)] = float(nanoseconds.median()) / 1e6
    return medians


def _summary(of: Condition, rows: pd.DataFrame, seed: int) -> Summary:
    import numpy as np

    rows = rows.assign(ms=rows["nanoseconds"].astype(np.float64) / 1e6)
    queries = int(rows["query"].nunique(dropna=False))
    return Summary(of, queries, len(rows), reader(of.scenario).measure(rows, seed))
