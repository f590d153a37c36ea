"""One timed call of a reranker, and what became of it: nanoseconds, or a failure that is counted
and never becomes a sample.
"""

from __future__ import annotations

import gc
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bench.contract.meter import Meter, no_span
from bench.contract.recipe import PipelineRecipe, Recipe
from bench.contract.request import CandidateList, Failure, Usage, cut
from bench.contract.stage import Reranker
from bench.core.errors import BenchError
from bench.core.outsiders import outsiders_code
from bench.core.printable import shortened
from bench.latency.sample import Sample
from bench.latency.spans import Stopwatch
from bench.machine import gpu
from bench.machine.clock import REAL_CLOCK, Clock

GIVE_UP_AFTER = 3
"""Failures in a row: a server that fails now and then is still timed, one that is gone is not asked
again and again.
"""


@dataclass
class Target:
    """A trial to be timed: its stage is loaded. Without a recipe it cannot be started anew, and
    has no `cold`. With a `depth` of its own it gets no more candidates of a query in flight: a
    sweep times several depths in turn.
    """

    name: str
    device: str
    reranker: Reranker
    recipe: Recipe | PipelineRecipe | None = None
    depth: int | None = None

    def cut(self, request: CandidateList) -> CandidateList:
        return cut(request, self.depth)

    @property
    def remote(self) -> bool:
        """Whether another machine does the work."""
        return self.reranker.placement == "remote"


class Caller:
    """Calls one target and counts what became of the calls. `usage` is that of the last one."""

    def __init__(self, target: Target, clock: Clock = REAL_CLOCK) -> None:
        self.target, self.clock = target, clock
        self.calls, self.errors, self.failing, self.retried, self.halvings = 0, 0, 0, 0, 0
        self.last_error: str | None = None
        self.usage = Usage()
        self.gpu_memory: dict[str, int] = {}
        self.clocks = gpu.ClockLog(gpu.meter(target.device))
        self._synchronise = clock.synchroniser(target.device)

    @property
    def given_up(self) -> bool:
        return self.failing >= GIVE_UP_AFTER

    def call(
        self,
        requests: Sequence[CandidateList],
        stopwatch: Stopwatch | None = None,
        *,
        collect: bool = True,
    ) -> int | None:
        """Return the nanoseconds from raw strings to an ordering on the host. None when the call
        failed, or needed a retry: it is no sample then.

        `collect` runs Python's garbage collector before the call, since it does not run inside one.
        """
        if collect:
            gc.collect()
        self.calls += 1
        nanoseconds = None
        meter = Meter(stopwatch.span if stopwatch else no_span)
        try:
            with outsiders_code():
                gpu.reset_memory_peaks(self.target.device)
                nanoseconds = self._timed(requests, meter)
                self.failing = 0
                self.clocks.look()
                for name, size in gpu.memory(self.target.device).items():
                    self.gpu_memory[name] = max(self.gpu_memory.get(name, 0), size)
        except BenchError as error:  # one target's failure leaves the others' timings
            self.errors += 1
            self.failing += 1
            self.last_error = str(error).partition("\n")[0]
        # also after a failure: its tokens are not the next call's
        self.usage = meter.take()
        self.halvings += self.usage.halvings
        if nanoseconds is not None and self.usage.retries:
            self.retried += 1
            return None
        return nanoseconds

    def sample(
        self,
        scenario: str,
        round_: int,
        query: str | None,
        pairs: int,
        nanoseconds: int,
        **more: Any,
    ) -> Sample:
        """Return a row about the last call."""
        usage = self.usage
        truncated = None
        if usage.tokens or usage.truncated:
            truncated = usage.truncated
        return Sample(
            self.target.name,
            scenario,
            round_,
            query,
            pairs,
            usage.tokens or None,
            nanoseconds,
            slots=usage.slots or None,
            truncated=truncated,
            **more,
        )

    def _timed(self, requests: Sequence[CandidateList], meter: Meter) -> int:
        self._synchronise()
        start = self.clock.now_ns()
        outcomes = self.target.reranker.run(requests, meter)
        self._synchronise()
        nanoseconds = self.clock.now_ns() - start
        self.target.reranker.pause()
        for outcome in outcomes:
            if isinstance(outcome, Failure):
                raise BenchError(shortened(outcome.reason))
        return nanoseconds
