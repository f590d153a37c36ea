"""The timed pass: what a user would deploy, timed as production feels it, all rerankers of a group interleaved.

Two scenarios, never converted into one another (after MLPerf Inference, Reddi et al., ISCA 2020): `single`, one query in flight from
raw strings to sorted scores on the host, and `offline`, all pairs in one call. Only raw samples leave this module.
"""

from __future__ import annotations

import gc
import random
import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from pydantic import Field

from bench.errors import BenchError
from bench.measure import machine
from bench.measure.clock import now_ns, synchroniser
from bench.measure.ranking import rank
from bench.options import Options
from bench.rerankers.base import Failure, Request, Reranker

Sample = tuple[str, str, int, str, int, int | None, int, bool, str]
"""trial, scenario, round, query, pairs, tokens, nanoseconds, warmup, span."""

DISTURBED = 0.10
GIVE_UP_AFTER = 3


class LatencyPlan(Options):
    """What is timed. The defaults give 60 distinct queries: p95 may be shown from 59."""

    scenarios: tuple[Literal["single", "offline"], ...] = Field(("single", "offline"), min_length=1, description="what to time")
    queries: int = Field(60, ge=1, description="a seeded sample of at most so many queries with candidates")
    rounds: int = Field(2, ge=1, description="times each query is timed; more queries say more than more rounds")
    depth: int | None = Field(None, ge=1, description="candidates per timed query; all of them when absent")
    offline_pairs: int = Field(1000, ge=1, description="pairs pooled in one offline call, at most")
    warmup_max: int = Field(18, ge=0, description="warm-up calls per reranker, at most")
    warmup_tolerance: float = Field(0.02, gt=0, description="warm-up ends when the rolling median moves by less than this share")
    time_limit_s: float = Field(300.0, gt=0, description="a slow reranker is timed on fewer queries once it has taken so long; it is said")


@dataclass
class Target:
    """A trial to be timed: its reranker is loaded."""

    name: str
    device: str
    reranker: Reranker


@dataclass
class LatencyResult:
    """Raw samples, warm-ups among them, and per trial what a reader of their summary should know."""

    samples: list[Sample] = field(default_factory=list)
    facts: dict[str, dict[str, Any]] = field(default_factory=dict)


def planned_calls(targets: Sequence[Target], requests: Sequence[Request], plan: LatencyPlan) -> int:
    """An upper bound of the calls that `measure` will make, for a progress bar."""
    queries = min(plan.queries, len(requests)) * plan.rounds if "single" in plan.scenarios else 0
    offline = plan.rounds if "offline" in plan.scenarios else 0
    return len(targets) * (plan.warmup_max + queries + offline)


def measure(
    targets: Sequence[Target],
    requests: Sequence[Request],
    plan: LatencyPlan,
    seed: int = 0,
    on_call: Callable[[int], None] = lambda calls: None,
) -> LatencyResult:
    """Time every target on the same sample of requests. A call that fails is counted and never becomes a sample."""
    timers = [_Timer(target, on_call) for target in targets]
    sample = draw_sample(requests, plan, seed)
    load, before, start = machine.load_average(), machine.cpu_seconds(), now_ns()
    with _no_garbage_collection():
        for timer in timers:
            timer.warm_up(sample, plan)
        for round_ in range(plan.rounds):
            if "single" in plan.scenarios:
                _single_round(timers, sample, round_, plan)
            if "offline" in plan.scenarios:
                pooled = pool(sample, plan.offline_pairs)
                for timer in _abba(timers, round_):
                    timer.time_offline(pooled, round_)
    shared = {"load_average_before": load, "load_average_after": machine.load_average(), "peak_rss_bytes": machine.peak_rss_bytes()}
    shared |= _disturbance(before, (now_ns() - start) / 1e9)
    result = LatencyResult([row for timer in timers for row in timer.samples])
    for timer in timers:
        facts = {**shared, **timer.facts(len(sample)), **machine.gpu_memory(timer.target.device)}
        facts["notes"] = [*timer.notes(len(sample)), *_disturbed_note(shared)]
        result.facts[timer.target.name] = facts
    return result


def draw_sample(requests: Sequence[Request], plan: LatencyPlan, seed: int) -> list[Request]:
    """The requests that are timed, cut to the plan's depth, in a seeded order."""
    chosen = random.Random(seed).sample(list(requests), min(plan.queries, len(requests)))
    return [replace(one, doc_ids=one.doc_ids[: plan.depth], docs=one.docs[: plan.depth]) for one in chosen]


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


def _single_round(timers: Sequence[_Timer], sample: Sequence[Request], round_: int, plan: LatencyPlan) -> None:
    """Query by query over all targets, so that a machine that slows down slows all of them: A B C, then C B A."""
    for i, request in enumerate(sample):
        for timer in _abba(timers, round_ + i):
            if timer.seconds < plan.time_limit_s:
                timer.time_single(request, round_)
        gc.collect()


def _abba(timers: Sequence[_Timer], turn: int) -> list[_Timer]:
    alive = [timer for timer in timers if timer.errors < GIVE_UP_AFTER]
    return alive if turn % 2 == 0 else alive[::-1]


class _Timer:
    """Times the calls of one target and keeps their samples."""

    def __init__(self, target: Target, on_call: Callable[[int], None]) -> None:
        self.target, self.on_call = target, on_call
        self.samples: list[Sample] = []
        self.errors = 0
        self.last_error: str | None = None
        self.seconds = 0.0
        self.timed: set[str] = set()
        self.warmups, self.settled = 0, False
        self._synchronise = synchroniser(target.device)
        target.reranker.take_usage()

    def warm_up(self, sample: Sequence[Request], plan: LatencyPlan) -> None:
        """Short, median and long requests in turn until their times settle, each seen relative to its own first time."""
        by_length = sorted(sample, key=lambda request: sum(map(len, request.docs)))
        turns = [by_length[0], by_length[len(by_length) // 2], by_length[-1]]
        first: dict[int, int] = {}
        relative: list[float] = []
        for i in range(plan.warmup_max):
            taken = self._call([turns[i % 3]])
            self.on_call(1)
            if taken is None:
                continue
            self._keep("single", -1, turns[i % 3], taken, warmup=True)
            self.warmups += 1
            relative.append(taken / first.setdefault(i % 3, taken))
            if settled(relative, plan.warmup_tolerance):
                self.settled = True
                self.on_call(plan.warmup_max - i - 1)
                return

    def time_single(self, request: Request, round_: int) -> None:
        taken = self._call([request])
        self.on_call(1)
        if taken is not None:
            self.seconds += taken / 1e9
            self.timed.add(request.query_id)
            self._keep("single", round_, request, taken)

    def time_offline(self, pooled: list[Request], round_: int) -> None:
        taken = self._call(pooled)
        self.on_call(1)
        if taken is not None:
            whole = Request("*", "", [doc for request in pooled for doc in request.doc_ids], ())
            self._keep("offline", round_, whole, taken)

    def _call(self, requests: list[Request]) -> int | None:
        """Nanoseconds from raw strings to an ordering on the host, or None when the call failed."""
        try:
            self._synchronise()
            start = now_ns()
            outcomes = self.target.reranker.rerank(requests)
            for request, outcome in zip(requests, outcomes, strict=True):
                if isinstance(outcome, Failure):
                    raise BenchError(outcome.reason)
                rank(request.doc_ids, outcome.tolist())
            self._synchronise()
            return now_ns() - start
        except Exception as error:  # one target's failure must not take the others' timings with it
            self.errors += 1
            self.last_error = str(error).partition("\n")[0] or type(error).__name__
            return None

    def _keep(self, scenario: str, round_: int, request: Request, taken: int, *, warmup: bool = False) -> None:
        tokens = self.target.reranker.take_usage().tokens or None
        row = (self.target.name, scenario, round_, request.query_id, len(request.doc_ids), tokens, taken, warmup, "total")
        self.samples.append(row)

    def facts(self, planned: int) -> dict[str, Any]:
        return {
            "warmup_calls": self.warmups,
            "warmup_settled": self.settled,
            "queries_planned": planned,
            "queries_timed": len(self.timed),
            "errors": self.errors,
        }

    def notes(self, planned: int) -> list[str]:
        notes = []
        if not self.settled and self.warmups:
            notes.append(f"times had not settled after {self.warmups} warm-up calls")
        if 0 < len(self.timed) < planned and not self.errors:
            notes.append(f"timed on {len(self.timed)} of {planned} queries: the time limit was reached")
        if self.errors:
            gave_up = "; timing was given up" if self.errors >= GIVE_UP_AFTER else ""
            notes.append(f"{self.errors} timed calls failed ({self.last_error}){gave_up}")
        return notes


def settled(relative: Sequence[float], tolerance: float) -> bool:
    """Whether the rolling median over two turns of three requests moved by less than the tolerance since one turn before."""
    if len(relative) < 9:
        return False
    now, before = statistics.median(relative[-6:]), statistics.median(relative[-9:-3])
    return abs(now - before) < tolerance * before


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Python's collector does not run inside a timed call; what is loaded already is not looked at again between calls."""
    was_on = gc.isenabled()
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.unfreeze()
        if was_on:
            gc.enable()


def _disturbance(before: tuple[float, float] | None, seconds: float) -> dict[str, Any]:
    """The share of the machine's CPU time that other processes took. It cannot see neighbours on a shared host."""
    after = machine.cpu_seconds()
    if before is None or after is None or seconds < 0.5:
        return {"foreign_cpu_share": None}
    foreign = (after[1] - before[1]) - (after[0] - before[0])
    return {"foreign_cpu_share": max(0.0, foreign / (seconds * machine.logical_cores()))}


def _disturbed_note(shared: dict[str, Any]) -> list[str]:
    share = shared["foreign_cpu_share"]
    return [f"other processes took {share:.0%} of the CPU during timing"] if share is not None and share > DISTURBED else []
