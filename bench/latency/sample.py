"""One timed call, as a row of latency.parquet."""

from __future__ import annotations

from typing import NamedTuple

TOTAL = "total"


class Sample(NamedTuple):
    """A row of latency.parquet. `tokens` are real ones, `slots` the same with padding, `truncated`
    the pairs that were cut: of the whole call, None where the reranker does not tell. `span` is
    "total" or a part of a call.
    """

    trial: str
    scenario: str
    round: int
    query: str
    pairs: int
    tokens: int | None
    nanoseconds: int
    warmup: bool = False
    span: str = TOTAL
    slots: int | None = None
    truncated: int | None = None
