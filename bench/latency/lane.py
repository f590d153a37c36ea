"""One reranker in the timed pass: its calls, its warm-up and its samples."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from typing import Any

from bench.contract.request import CandidateList, Usage
from bench.core.note import Code, Note, note
from bench.latency.call import Caller, Target
from bench.latency.common_plan import CommonPlan
from bench.latency.sample import Facts, Sample
from bench.latency.spans import Stopwatch
from bench.machine.clock import Clock

WARMUP_SHARE = 0.25
"""Of the time limit: what the warm-up of a slow reranker may take."""
REMOTE_WARMUPS = 3
"""A remote reranker's warm-up opens its connection; nothing of ours gets warmer, and every call may
be paid for.
"""


def warmups(plan: CommonPlan, remote: bool) -> int:
    """Return the number of warm-up calls of one reranker, at most."""
    if remote:
        return min(REMOTE_WARMUPS, plan.warmup_max)
    return plan.warmup_max


class Lane:
    """What the scenarios of one reranker share. `sample` are the requests that are timed, `calls`
    the number that will be made of it at most, for a progress bar.
    """

    def __init__(
        self,
        target: Target,
        plan: CommonPlan,
        sample: Sequence[CandidateList],
        clock: Clock,
        *,
        seed: int = 0,
        calls: int = 0,
        on_call: Callable[[int], None] = lambda calls: None,
    ) -> None:
        self.target, self.plan, self.sample, self.clock = target, plan, sample, clock
        self.seed, self.calls_left, self.on_call = seed, calls, on_call
        self.caller = Caller(target, clock)
        self.samples: list[Sample] = []
        self.is_warm = False
        self.warmups, self.settled = 0, False
        self.timed: set[str] = set()
        self.usage = Usage()

    def call(
        self, requests: Sequence[CandidateList], stopwatch: Stopwatch | None = None
    ) -> int | None:
        """Make one call and count it. Return its nanoseconds, None where it is no sample."""
        try:
            return self.caller.call(requests, stopwatch)
        finally:
            self.count(1)

    def keep(
        self, scenario: str, round_: int, request: CandidateList, nanoseconds: int, **more: Any
    ) -> None:
        """Keep a sample of the last call."""
        pairs = len(request.doc_ids)
        self.samples.append(
            self.caller.sample(scenario, round_, request.query_id, pairs, nanoseconds, **more)
        )

    def keep_pooled(self, scenario: str, round_: int, pairs: int, nanoseconds: int) -> None:
        """Keep a sample of the last call, which was of several queries at once."""
        self.samples.append(self.caller.sample(scenario, round_, None, pairs, nanoseconds))

    def count(self, calls: int) -> None:
        """Report calls that were made, or that were planned and will not be."""
        self.calls_left -= calls
        self.on_call(calls)

    def count_rest(self) -> None:
        """Report the calls that were planned and not made, so that a progress bar ends."""
        self.count(self.calls_left)

    def warm_up(self, scenario: str) -> None:
        """Call short, median and long requests in turn until their times settle, each seen relative
        to its own first time. Done once; the samples are stored under `scenario`.

        A remote reranker gets one of each, which opens its connection: the times of a network never
        settle.
        """
        if self.is_warm:
            return
        self.is_warm = True
        by_length = sorted(self.sample, key=lambda request: sum(map(len, request.docs)))
        turns = [
            self.target.cut(request)
            for request in (by_length[0], by_length[len(by_length) // 2], by_length[-1])
        ]
        first: dict[int, int] = {}
        relative: list[float] = []
        limit = warmups(self.plan, self.target.remote)
        seconds, planned_after = 0.0, self.calls_left - limit
        for i in range(limit):
            if self.caller.given_up or seconds > WARMUP_SHARE * self.plan.time_limit_s:
                break
            request = turns[i % 3]
            nanoseconds = self.call([request])
            if nanoseconds is None:
                continue
            self.keep(scenario, -1, request, nanoseconds, warmup=True)
            self.warmups += 1
            seconds += nanoseconds / 1e9
            relative.append(nanoseconds / first.setdefault(i % 3, nanoseconds))
            if settled(relative, self.plan.warmup_tolerance):
                self.settled = True
                break
        self.count(self.calls_left - planned_after)

    def facts(self) -> Facts:
        """Return what is stored next to the samples, whatever the scenarios."""
        caller, usage = self.caller, self.usage
        failure_rate = caller.errors / caller.calls if caller.calls else None
        padding_share = 1 - usage.tokens / usage.slots if usage.slots else None
        return {
            "warmup_calls": self.warmups,
            "warmup_settled": None if self.target.remote else self.settled,
            "queries_planned": len(self.sample),
            "queries_timed": len(self.timed),
            "calls": caller.calls,
            "errors": caller.errors,
            "retried": caller.retried,
            "failure_rate": failure_rate,
            "slots": usage.slots or None,
            "padding_share": padding_share,
            "truncated": usage.truncated,
            **caller.gpu_memory,
            **caller.clocks.facts(),
        }

    def warmup_notes(self) -> list[Note]:
        """Return what a reader should know of the warm-up."""
        if self.settled or not self.warmups or self.target.remote:
            return []
        return [note(Code.UNSETTLED, self.warmups)]

    def call_notes(self) -> list[Note]:
        """Return what a reader should know of calls that are no samples."""
        caller = self.caller
        notes = []
        if caller.errors:
            code = Code.GIVEN_UP if caller.given_up else Code.FAILED_CALLS
            notes.append(note(code, caller.errors, caller.calls, caller.last_error or ""))
        if caller.retried:
            notes.append(note(Code.RETRIED_CALLS, caller.retried, caller.calls))
        if caller.halvings:
            notes.append(note(Code.SPLIT_BATCHES, caller.halvings))
        return notes


def settled(relative: Sequence[float], tolerance: float) -> bool:
    """Whether the rolling median over two turns of three requests moved by less than the tolerance
    since one turn before.
    """
    if len(relative) < 9:
        return False
    now, before = statistics.median(relative[-6:]), statistics.median(relative[-9:-3])
    return abs(now - before) < tolerance * before
