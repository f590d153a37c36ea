"""The timed calls of one reranker, and what became of each: a sample, a warm-up, or a failure that is counted."""

from __future__ import annotations

import gc
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from bench.errors import BenchError
from bench.measure import machine
from bench.measure.clock import now_ns, synchroniser
from bench.measure.latency_plan import LatencyPlan
from bench.measure.ranking import rank
from bench.rerankers.base import Failure, Request, Reranker, Usage

Sample = tuple[str, str, int, str, int, int | None, int, bool, str]
"""trial, scenario, round, query, pairs, tokens, nanoseconds, warmup, span."""

GIVE_UP_AFTER = 3
"""Failures in a row: a server that fails now and then is still timed, one that is gone is not asked again and again."""
WARMUP_SHARE = 0.25
"""Of the time limit: what the warm-up of a slow reranker may take."""


@dataclass
class Target:
    """A trial to be timed: its reranker is loaded."""

    name: str
    device: str
    reranker: Reranker


class Timer:
    """Times the calls of one target and keeps their samples."""

    def __init__(self, target: Target, plan: LatencyPlan, calls: int, on_call: Callable[[int], None]) -> None:
        self.target, self.plan, self.calls_left, self.on_call = target, plan, calls, on_call
        self.samples: list[Sample] = []
        self.errors, self.failing = 0, 0
        self.last_error: str | None = None
        self.seconds = {"single": 0.0, "offline": 0.0}
        self.timed: set[str] = set()
        self.out_of_time: set[str] = set()
        self.warmups, self.settled = 0, False
        self.usage, self.single_usage = Usage(), Usage()
        self.gpu_memory: dict[str, int] = {}
        self.pooled: list[Request] = []
        self._synchronise = synchroniser(target.device)
        target.reranker.take_usage()

    def warm_up(self, sample: Sequence[Request]) -> None:
        """Short, median and long requests in turn until their times settle, each seen relative to its own first time."""
        by_length = sorted(sample, key=lambda request: sum(map(len, request.docs)))
        turns = [by_length[0], by_length[len(by_length) // 2], by_length[-1]]
        first: dict[int, int] = {}
        relative: list[float] = []
        seconds, planned_after = 0.0, self.calls_left - self.plan.warmup_max
        for i in range(self.plan.warmup_max):
            if self.failing >= GIVE_UP_AFTER or seconds > WARMUP_SHARE * self.plan.time_limit_s:
                break
            taken = self._call([turns[i % 3]])
            if taken is None:
                continue
            self._keep("single", -1, turns[i % 3], taken, warmup=True)
            self.warmups += 1
            seconds += taken / 1e9
            relative.append(taken / first.setdefault(i % 3, taken))
            if settled(relative, self.plan.warmup_tolerance):
                self.settled = True
                break
        self._tell(self.calls_left - planned_after)

    def time_single(self, request: Request, round_: int) -> None:
        if self.seconds["single"] >= self.plan.time_limit_s:
            self.out_of_time.add("single")
            return
        taken = self._call([request])
        if taken is not None:
            self.seconds["single"] += taken / 1e9
            self.timed.add(request.query_id)
            self.single_usage += self.usage
            self._keep("single", round_, request, taken)

    def time_offline(self, sample: Sequence[Request], round_: int) -> None:
        """As many pairs as the plan pools, or as the time limit allows at the speed seen so far; the same ones in every round."""
        if self.seconds["offline"] >= self.plan.time_limit_s:
            self.out_of_time.add("offline")
            return
        self.pooled = self.pooled or self._affordable_pool(sample)
        taken = self._call(self.pooled)
        if taken is not None:
            self.seconds["offline"] += taken / 1e9
            whole = Request("*", "", [doc for request in self.pooled for doc in request.doc_ids], ())
            self._keep("offline", round_, whole, taken)

    def _affordable_pool(self, sample: Sequence[Request]) -> list[Request]:
        """The plan's pool, or the part of it for which one round's share of the time limit suffices at the median speed so far."""
        planned = pool(sample, self.plan.offline_pairs)
        seen = [row[6] / row[4] for row in self.samples]
        if not seen:
            return planned
        affordable = pool(planned, int(self.plan.time_limit_s * 1e9 / self.plan.rounds / statistics.median(seen)))
        if len(affordable) < len(planned):
            self.out_of_time.add("offline")
        return affordable

    def tell_rest(self) -> None:
        """Count the calls that were planned and not made, so that a progress bar ends."""
        self._tell(self.calls_left)

    def _tell(self, calls: int) -> None:
        self.calls_left -= calls
        self.on_call(calls)

    def _call(self, requests: list[Request]) -> int | None:
        """Nanoseconds from raw strings to an ordering on the host, or None when the call failed. What it used is in `usage`."""
        gc.collect()
        try:
            machine.reset_gpu_memory_peaks(self.target.device)
            self._synchronise()
            start = now_ns()
            outcomes = self.target.reranker.rerank(requests)
            for request, outcome in zip(requests, outcomes, strict=True):
                if isinstance(outcome, Failure):
                    raise BenchError(outcome.reason)
                rank(request.doc_ids, outcome)
            self._synchronise()
            taken = now_ns() - start
            self.failing = 0
            self.gpu_memory = {
                name: max(self.gpu_memory.get(name, 0), size) for name, size in machine.gpu_memory(self.target.device).items()
            }
            return taken
        except Exception as error:  # one target's failure must not take the others' timings with it
            self.errors += 1
            self.failing += 1
            self.last_error = str(error).partition("\n")[0] or type(error).__name__
            return None
        finally:
            self.usage = self.target.reranker.take_usage()  # also after a failure: its tokens are not the next call's
            self._tell(1)

    def _keep(self, scenario: str, round_: int, request: Request, taken: int, *, warmup: bool = False) -> None:
        tokens = self.usage.tokens or None
        row = (self.target.name, scenario, round_, request.query_id, len(request.doc_ids), tokens, taken, warmup, "total")
        self.samples.append(row)

    def facts(self, planned: int) -> dict[str, Any]:
        return {
            "warmup_calls": self.warmups,
            "warmup_settled": self.settled,
            "queries_planned": planned,
            "queries_timed": len(self.timed),
            "errors": self.errors,
            "slots": self.single_usage.slots or None,
            "padding_share": 1 - self.single_usage.tokens / self.single_usage.slots if self.single_usage.slots else None,
            "truncated": self.single_usage.truncated,
        }

    def notes(self, planned: int) -> list[str]:
        notes = []
        if not self.settled and self.warmups:
            notes.append(f"times had not settled after {self.warmups} warm-up calls")
        if "single" in self.out_of_time:
            every = f" ({self.plan.rounds} rounds were planned)" if len(self.timed) == planned else ""
            notes.append(f"timed on {len(self.timed)} of {planned} queries: the time limit was reached{every}")
        if "offline" in self.out_of_time:
            pairs = sum(len(request.docs) for request in self.pooled)
            notes.append(f"pairs/s from {pairs} pooled pairs: the time limit allowed no more")
        if self.errors:
            gave_up = "; timing was given up" if self.failing >= GIVE_UP_AFTER else ""
            notes.append(f"{self.errors} timed calls failed ({self.last_error}){gave_up}")
        return notes


def settled(relative: Sequence[float], tolerance: float) -> bool:
    """Whether the rolling median over two turns of three requests moved by less than the tolerance since one turn before."""
    if len(relative) < 9:
        return False
    now, before = statistics.median(relative[-6:]), statistics.median(relative[-9:-3])
    return abs(now - before) < tolerance * before


def pool(sample: Sequence[Request], pairs: int) -> list[Request]:
    """As many whole requests as fit into so many pairs, and at least one."""
    pooled: list[Request] = []
    size = 0
    for request in sample:
        if pooled and size + len(request.docs) > pairs:
            break
        pooled.append(request)
        size += len(request.docs)
    return pooled
