"""What a suite says about the timed pass as a whole, whatever its scenarios. Imports nothing
heavier than pydantic, so that a suite is validated in milliseconds.

Two rounds time each query once in either order of the rerankers. Sixty queries show p95 and no
more: p99 would need 299 of them.
"""

from __future__ import annotations

from pydantic import Field

from bench.core.options import Options


class CommonPlan(Options):
    """What every scenario keeps to. The defaults give 60 distinct queries: p95 may be shown from
    59.
    """

    queries: int = Field(
        60, ge=1, description="queries in a seeded sample of those with candidates, at most"
    )
    rounds: int = Field(
        2, ge=1, description="times each query is timed; more queries say more than more rounds"
    )
    depth: int | None = Field(
        None, ge=1, description="candidates per timed query; all of them when absent"
    )
    warmup_max: int = Field(18, ge=0, description="warm-up calls per reranker, at most")
    warmup_tolerance: float = Field(
        0.02, gt=0, description="warm-up ends when the rolling median moves by less than this share"
    )
    time_limit_s: float = Field(
        300.0,
        gt=0,
        description="seconds per reranker and scenario, after which it is timed on fewer "
        "queries; a note says so",
    )
