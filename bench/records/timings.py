"""The summaries of timed calls, as a record holds them. Whoever reads timings computes them anew;
`verify` compares.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import Field

from bench.core.options import Options
from bench.latency.columns import Interval
from bench.latency.sample import Condition
from bench.latency.summary import Summary, summarise

if TYPE_CHECKING:
    import pandas as pd


class TimingSummary(Options):
    """The numbers of one trial under one condition."""

    scenario: str
    rate: float | None = Field(None, description="of arrivals per second, under load")
    queries: int = Field(ge=0, description="distinct queries that were timed")
    samples: int = Field(ge=0, description="timed calls, without warm-ups and parts of calls")
    values: dict[str, tuple[float | None, float | None, float | None]] = Field(
        description="by column: the value with its 95 % interval; null where withheld"
    )

    @property
    def condition(self) -> Condition:
        """What its calls share."""
        return Condition(self.scenario, self.rate)


def timing_summaries(calls: pd.DataFrame, seed: int) -> dict[str, list[TimingSummary]]:
    """Return trial id -> its summaries, from the columns of the table `latency`."""
    by_trial: dict[str, list[TimingSummary]] = {}
    for (trial, _), summary in summarise(calls, seed).items():
        by_trial.setdefault(trial, []).append(_stored(summary))
    return by_trial


def summaries_of(
    samples: Iterable[Sequence[Any]], names: Sequence[str], seed: int
) -> Mapping[str, list[TimingSummary]]:
    """Return the same from rows of the table, whose columns have these names."""
    import pandas as pd

    return timing_summaries(pd.DataFrame(list(samples), columns=list(names)), seed)


def _stored(summary: Summary) -> TimingSummary:
    values: dict[str, Interval] = {name: Interval(*value) for name, value in summary.values.items()}
    return TimingSummary(
        scenario=summary.condition.scenario,
        rate=summary.condition.rate,
        queries=summary.queries,
        samples=summary.samples,
        values=dict(values),
    )
