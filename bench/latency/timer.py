"""The timed calls of one reranker in the scenarios that keep one call in flight, and what a reader
of their samples should know.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from typing import Any

from bench.contract.request import CandidateList, Usage
from bench.core.counting import times
from bench.latency.call import Caller, Target
from bench.latency.cold import ColdStarts
from bench.latency.energy import joules_per_1000_pairs
from bench.latency.plan import REMOTE_WARMUPS, LatencyPlan
from bench.latency.sample import Sample
from bench.latency.server import Load, capacity, put_under_load
from bench.latency.spans import Stopwatch

WARMUP_SHARE = 0.25
"""Of the time limit: what the warm-up of a slow reranker may take."""


class Timer:
    """Times the calls of one target and keeps their samples. One query in flight is `request` for a
    remote target, else `single`.
    """

    def __init__(
        self, target: Target, plan: LatencyPlan, calls: int, on_call: Callable[[int], None]
    ) -> None:
        self.target, self.plan, self.calls_left, self.on_call = target, plan, calls, on_call
        self.caller = Caller(target)
        self.one_query = "request" if target.remote else "single"
        self.samples: list[Sample] = []
        self.seconds = {self.one_query: 0.0, "offline": 0.0}
        self.timed: set[str] = set()
        self.out_of_time: set[str] = set()
        self.warmups, self.settled = 0, False
        self.usage = Usage()
        self.pooled: list[CandidateList] = []
        self.joules: float | None = None
        self.cold = ColdStarts(target, plan.time_limit_s)
        self.capacity: float | None = None
        self.loads: list[Load] = []

    def warm_up(self, sample: Sequence[CandidateList]) -> None:
        """Short, median and long requests in turn until their times settle, each seen relative to
        its own first time.

        A remote reranker gets one of each, which opens its connection: the times of a network never
        settle.
        """
        by_length = sorted(sample, key=lambda request: sum(map(len, request.docs)))
        turns = [
            self.target.cut(request)
            for request in (by_length[0], by_length[len(by_length) // 2], by_length[-1])
        ]
        first: dict[int, int] = {}
        relative: list[float] = []
        most = (
            min(REMOTE_WARMUPS, self.plan.warmup_max)
            if self.target.remote
            else self.plan.warmup_max
        )
        seconds, planned_after = 0.0, self.calls_left - most
        for i in range(most):
            if self.caller.given_up or seconds > WARMUP_SHARE * self.plan.time_limit_s:
                break
            taken = self._call([turns[i % 3]])
            if taken is None:
                continue
            self._keep(self.one_query, -1, turns[i % 3], taken, warmup=True)
            self.warmups += 1
            seconds += taken / 1e9
            relative.append(taken / first.setdefault(i % 3, taken))
            if settled(relative, self.plan.warmup_tolerance):
                self.settled = True
                break
        self._tell(self.calls_left - planned_after)

    def time_query(self, request: CandidateList, round_: int) -> None:
        """One query in flight."""
        request = self.target.cut(request)
        if self._is_over(self.one_query):
            return
        taken = self._call([request])
        if taken is not None:
            self.seconds[self.one_query] += taken / 1e9
            self.timed.add(request.query_id)
            self.usage += self.caller.usage
            self._keep(self.one_query, round_, request, taken)

    def time_offline(self, sample: Sequence[CandidateList], round_: int) -> None:
        """As many pairs as the plan pools, or as the time limit allows at the speed seen so far;
        the same ones in every round.
        """
        if self._is_over("offline"):
            return
        self.pooled = self.pooled or self._affordable_pool(sample)
        taken = self._call(self.pooled)
        if taken is not None:
            self.seconds["offline"] += taken / 1e9
            whole = CandidateList(
                "*", "", [doc for request in self.pooled for doc in request.doc_ids], ()
            )
            self._keep("offline", round_, whole, taken)

    def time_spans(self, request: CandidateList) -> None:
        """The parts of one query's call: rows of `single` whose spans add up to a call of their
        own, with more synchronisation in it.
        """
        if self.one_query in self.out_of_time:
            return
        request, stopwatch = self.target.cut(request), Stopwatch(self.target.device)
        taken = self._call([request], stopwatch)
        if taken is not None:
            for name, nanoseconds in stopwatch.parts(taken).items():
                self._keep(self.one_query, 0, request, nanoseconds, span=name)

    def time_energy(self) -> None:
        """After `offline`, on the same pairs."""
        if not self.caller.given_up:
            self.joules = joules_per_1000_pairs(self.caller, self.pooled)

    def time_cold(self, request: CandidateList, round_: int) -> None:
        """A fresh process."""
        self.cold.time(request, round_)
        self._tell(1)

    def find_capacity(self, sample: Sequence[CandidateList]) -> None:
        """How many queries a second can be answered at most, before load is put on."""
        self.capacity = capacity(self.caller, sample, self.plan.server, self._tell)

    def time_load(self, sample: Sequence[CandidateList], rate: float, seed: int) -> None:
        """Arrivals at one rate."""
        load = put_under_load(self.caller, sample, rate, self.plan.server, seed, self._tell)
        load.facts["load"] = rate / self.capacity if self.capacity else None
        self.loads.append(load)

    def all_samples(self) -> list[Sample]:
        """Every scenario's rows."""
        return [
            *self.samples,
            *self.cold.samples,
            *(row for load in self.loads for row in load.samples),
        ]

    def tell_rest(self) -> None:
        """Count the calls that were planned and not made, so that a progress bar ends."""
        self._tell(self.calls_left)

    def facts(self, planned: int) -> dict[str, Any]:
        """What is stored beside the samples."""
        caller, usage = self.caller, self.usage
        return {
            "warmup_calls": self.warmups,
            "warmup_settled": None if self.target.remote else self.settled,
            "queries_planned": planned,
            "queries_timed": len(self.timed),
            "calls": caller.calls,
            "errors": caller.errors,
            "retried": caller.retried,
            "failure_rate": caller.errors / caller.calls if caller.calls else None,
            "slots": usage.slots or None,
            "padding_share": 1 - usage.tokens / usage.slots if usage.slots else None,
            "truncated": usage.truncated,
            "joules_per_1000_pairs": self.joules,
            **caller.gpu_memory,
            **caller.clocks.facts(),
            "cold": self.cold.facts() if self.plan.asks("cold", self.target.remote) else None,
            "server": {
                "capacity_per_s": self.capacity,
                "loads": [load.facts for load in self.loads],
            }
            if self.loads
            else None,
        }

    def notes(self, planned: int) -> list[str]:
        """What a reader should know before trusting the samples."""
        caller, notes = self.caller, []
        if not self.settled and self.warmups and not self.target.remote:
            notes.append(f"times had not settled after {self.warmups} warm-up calls")
        if self.one_query in self.out_of_time:
            every = (
                f" ({self.plan.rounds} rounds were planned)" if len(self.timed) == planned else ""
            )
            notes.append(
                f"timed on {len(self.timed)} of {planned} queries: the time limit was "
                f"reached{every}"
            )
        if "offline" in self.out_of_time:
            pairs = sum(len(request.docs) for request in self.pooled)
            notes.append(f"pairs/s from {pairs} pooled pairs: the time limit allowed no more")
        if caller.errors:
            gave_up = "; timing was given up" if caller.given_up else ""
            notes.append(
                f"{caller.errors} of {caller.calls} timed calls failed "
                f"({caller.last_error}){gave_up}"
            )
        if caller.retried:
            notes.append(
                f"{caller.retried} of {caller.calls} timed calls needed a retry and are no samples"
            )
        if caller.halvings:
            notes.append(
                f"a batch did not fit into memory and was split {times(caller.halvings)} while "
                "timed"
            )
        return [*notes, *self.cold.notes(), *(note for load in self.loads for note in load.notes())]

    def _is_over(self, scenario: str) -> bool:
        over = self.seconds[scenario] >= self.plan.time_limit_s
        if over:
            self.out_of_time.add(scenario)
        return over

    def _affordable_pool(self, sample: Sequence[CandidateList]) -> list[CandidateList]:
        """The plan's pool, or the part of it for which one round's share of the time limit suffices
        at the median speed so far.
        """
        planned = pool(sample, self.plan.offline_pairs)
        seen = [row.nanoseconds / row.pairs for row in self.samples]
        if not seen:
            return planned
        affordable = pool(
            planned, int(self.plan.time_limit_s * 1e9 / self.plan.rounds / statistics.median(seen))
        )
        if len(affordable) < len(planned):
            self.out_of_time.add("offline")
        return affordable

    def _tell(self, calls: int) -> None:
        self.calls_left -= calls
        self.on_call(calls)

    def _call(
        self, requests: Sequence[CandidateList], stopwatch: Stopwatch | None = None
    ) -> int | None:
        try:
            return self.caller.call(requests, stopwatch)
        finally:
            self._tell(1)

    def _keep(
        self, scenario: str, round_: int, request: CandidateList, taken: int, **more: Any
    ) -> None:
        self.samples.append(
            self.caller.sample(
                scenario, round_, request.query_id, len(request.doc_ids), taken, **more
            )
        )


def settled(relative: Sequence[float], tolerance: float) -> bool:
    """Whether the rolling median over two turns of three requests moved by less than the tolerance
    since one turn before.
    """
    if len(relative) < 9:
        return False
    now, before = statistics.median(relative[-6:]), statistics.median(relative[-9:-3])
    return abs(now - before) < tolerance * before


def pool(sample: Sequence[CandidateList], pairs: int) -> list[CandidateList]:
    """As many whole requests as fit into so many pairs, and at least one."""
    pooled: list[CandidateList] = []
    size = 0
    for request in sample:
        if pooled and size + len(request.docs) > pairs:
            break
        pooled.append(request)
        size += len(request.docs)
    return pooled
