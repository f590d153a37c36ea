"""One timed call, as a row of the table `latency`, and what such rows are grouped by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

TOTAL = "total"
Facts = dict[str, Any]
"""What is stored next to the samples of a reranker, as JSON: a scenario adds keys of its own."""
Timing = Mapping[str, Any]
"""The same, read from a record."""


class Sample(NamedTuple):
    """A row of the table `latency`. `query` is None where a call pools several. `tokens` are real
    ones, `slots` the same with padding, `truncated` the pairs that were cut: of the whole call,
    None where the reranker does not tell. `span` is "total" or a part of a call. `rate` is of
    queries per second, in scenarios that offer load.
    """

    trial: str
    scenario: str
    round: int
    query: str | None
    pairs: int
    tokens: int | None
    nanoseconds: int
    warmup: bool = False
    span: str = TOTAL
    slots: int | None = None
    truncated: int | None = None
    rate: float | None = None


class Condition(NamedTuple):
    """What the samples of one summary share: a scenario and its parameters."""

    scenario: str
    rate: float | None = None


PARAMETERS = ("rate",)
"""The columns of a sample that hold a scenario's parameters, in the order of `Condition`."""


def condition(scenario: object, rate: object) -> Condition:
    """Return the condition of a table's cells, where pandas writes NaN for a rate of None."""
    if not isinstance(rate, int | float) or rate != rate:
        return Condition(str(scenario))
    return Condition(str(scenario), float(rate))
