"""What a suite may say about the timed pass. Imports nothing heavier than pydantic, so that a suite
is validated in milliseconds.

Two rounds time each query once in either order of the rerankers. Sixty queries show p95 and no
more: p99 would need 299 of them.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from bench.core.options import Options
from bench.latency.sweep_plan import SweepPlan

Positive = Annotated[float, Field(gt=0)]
Scenario = Literal["single", "offline", "request", "cold", "server"]
REMOTE_WARMUPS = 3
"""A remote reranker's warm-up opens its connection; nothing of ours gets warmer, and every call may
be paid for.
"""
CAPACITY_CALLS = 5
"""Back-to-back calls that tell how much a server can do at most, before load is put on it."""


class ServerPlan(Options):
    """Load on a server with one worker: queries that arrive by chance, whether or not the last one
    is answered.
    """

    rates: tuple[Positive, ...] = Field((), description="queries per second")
    loads: tuple[Positive, ...] | None = Field(
        None, description="shares of the measured capacity; 0.5 and 0.8 when there are no rates"
    )
    queries: int = Field(120, ge=1, description="arrivals per rate, at most")
    seconds: float = Field(
        60.0, gt=0, description="no arrival later than this; a slow reranker gets fewer of them"
    )
    max_batch: int = Field(
        1, ge=1, description="waiting queries that one call of the reranker answers together"
    )
    max_wait_ms: float = Field(
        0.0, ge=0, description="how long a batch that is not full waits for more"
    )

    def points(self) -> tuple[list[float], list[float]]:
        """(rates, loads) that are run."""
        loads = self.loads if self.loads is not None else () if self.rates else (0.5, 0.8)
        return list(self.rates), list(loads)


class LatencyPlan(Options):
    """What is timed. The defaults give 60 distinct queries: p95 may be shown from 59."""

    scenarios: tuple[Scenario, ...] = Field(
        ("single", "offline"),
        min_length=1,
        description="what to time; a remote reranker is timed as 'request' where 'single' or "
        "'request' is asked for",
    )
    queries: int = Field(
        60, ge=1, description="a seeded sample of at most so many queries with candidates"
    )
    rounds: int = Field(
        2, ge=1, description="times each query is timed; more queries say more than more rounds"
    )
    depth: int | None = Field(
        None, ge=1, description="candidates per timed query; all of them when absent"
    )
    offline_pairs: int = Field(1000, ge=1, description="pairs pooled in one offline call, at most")
    request_queries: int = Field(
        20,
        ge=1,
        description="queries that a remote reranker is timed on: each call may cost money; 60 "
        "show p95",
    )
    span_queries: int = Field(
        10,
        ge=0,
        description="queries timed once more in parts (tokenise, copy, forward, sort); 0 leaves "
        "them out",
    )
    cold_runs: int = Field(3, ge=1, description="fresh processes per reranker in 'cold'")
    server: ServerPlan = Field(ServerPlan(), description="what arrives in 'server'")
    warmup_max: int = Field(18, ge=0, description="warm-up calls per reranker, at most")
    warmup_tolerance: float = Field(
        0.02, gt=0, description="warm-up ends when the rolling median moves by less than this share"
    )
    time_limit_s: float = Field(
        300.0,
        gt=0,
        description="a slow reranker is timed on fewer queries once it has taken so long; it is "
        "said",
    )

    sweep: SweepPlan | None = Field(
        None, description="'single' at other depths and settings too; absent, it is left out"
    )

    def asks(self, scenario: Scenario, remote: bool = False) -> bool:
        """Whether a reranker is timed in a scenario. One query in flight is `request` where another
        machine answers it, else `single`.
        """
        if remote:
            asked = set(self.scenarios)
            return (
                bool(asked & {"single", "request"})
                if scenario == "request"
                else scenario == "cold" and scenario in asked
            )
        return scenario != "request" and scenario in self.scenarios

    def depths(self, candidates: int) -> list[int]:
        """Return the numbers of candidates that one query is timed with, where it has `candidates`
        of them.
        """
        swept = self.sweep.depths if self.sweep else ()
        return [self.depth or candidates, *swept]

    def calls(self, queries: int, remote: bool = False) -> int:
        """The most calls of one reranker, warm-ups included, that the timed pass makes over so many
        queries with candidates.

        For a remote reranker each is a request of at most `depth` documents, and may be paid for; a
        retry is one more.
        """
        cold = self.cold_runs if self.asks("cold", remote) else 0
        if remote:
            timed = min(self.request_queries, self.queries, queries) * self.rounds
            return cold + (
                min(REMOTE_WARMUPS, self.warmup_max) + timed if self.asks("request", remote) else 0
            )
        calls = cold + (
            self.warmup_max if {"single", "offline", "server"} & set(self.scenarios) else 0
        )
        if self.asks("single"):
            sample = min(self.queries, queries)
            calls += sample * self.rounds + min(self.span_queries, sample)
        if self.asks("offline"):
            calls += self.rounds
        if self.asks("server"):
            rates, loads = self.server.points()
            calls += CAPACITY_CALLS + self.server.queries * (len(rates) + len(loads))
        return calls
