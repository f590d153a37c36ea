"""The timed pass: what a user would deploy, timed as production feels it, all rerankers of a group interleaved.

Two scenarios, never converted into one another (after MLPerf Inference, Reddi et al., ISCA 2020): `single`, one query in flight from
raw strings to sorted scores on the host, and `offline`, all pairs in one call. Only raw samples leave this module.
"""

from __future__ import annotations

import gc
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from bench.errors import BenchError
from bench.measure import machine
from bench.measure.clock import now_ns
from bench.measure.latency_plan import LatencyPlan
from bench.measure.latency_timer import GIVE_UP_AFTER, Sample, Target, Timer, settled
from bench.rerankers.base import Request

__all__ = ["GIVE_UP_AFTER", "LatencyPlan", "LatencyResult", "Sample", "Target", "draw_sample", "measure", "planned_calls", "settled"]

DISTURBED = 0.10


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
    """Time every target on the same sample of requests. A call that fails is counted and never becomes a sample.

    The plan's time limit holds per reranker and scenario, each of which is timed at least once. Peak memory and load are of the process
    and the machine, where all targets are loaded at once. Raises BenchError when no request has candidates.
    """
    sample = draw_sample(requests, plan, seed)
    timers = [Timer(target, plan, planned_calls([target], sample, plan), on_call) for target in targets]
    load, before, start = machine.load_average(), machine.cpu_seconds(), now_ns()
    with _no_garbage_collection():
        for timer in timers:
            timer.warm_up(sample)
        for round_ in range(plan.rounds):
            if "single" in plan.scenarios:
                _single_round(timers, sample, round_)
            if "offline" in plan.scenarios:
                for timer in _abba(timers, round_):
                    timer.time_offline(sample, round_)
    shared = {"load_average_before": load, "load_average_after": machine.load_average(), "peak_rss_bytes": machine.peak_rss_bytes()}
    shared |= _disturbance(before, (now_ns() - start) / 1e9)
    result = LatencyResult([row for timer in timers for row in timer.samples])
    for timer in timers:
        timer.tell_rest()
        facts = {**shared, **timer.facts(len(sample)), **timer.gpu_memory}
        facts["notes"] = [*timer.notes(len(sample)), *_disturbed_note(shared)]
        result.facts[timer.target.name] = facts
    return result


def draw_sample(requests: Sequence[Request], plan: LatencyPlan, seed: int) -> list[Request]:
    """The requests that are timed, cut to the plan's depth, in a seeded order that does not depend on the order of `requests`."""
    usable = sorted((request for request in requests if request.docs), key=lambda request: request.query_id)
    if not usable:
        raise BenchError("nothing to time: no query has candidates")
    chosen = random.Random(seed).sample(usable, min(plan.queries, len(usable)))
    return [replace(one, doc_ids=one.doc_ids[: plan.depth], docs=one.docs[: plan.depth]) for one in chosen]


def _single_round(timers: Sequence[Timer], sample: Sequence[Request], round_: int) -> None:
    """Query by query over all targets, so that a machine that slows down slows all of them: A B C, then C B A."""
    for i, request in enumerate(sample):
        for timer in _abba(timers, round_ + i):
            timer.time_single(request, round_)


def _abba(timers: Sequence[Timer], turn: int) -> list[Timer]:
    alive = [timer for timer in timers if timer.failing < GIVE_UP_AFTER]
    return alive if turn % 2 == 0 else alive[::-1]


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
        return {"foreign_cpu_share": None, "disturbed": None}
    foreign = (after[1] - before[1]) - (after[0] - before[0])
    share = max(0.0, foreign / (seconds * machine.logical_cores()))
    return {"foreign_cpu_share": share, "disturbed": share > DISTURBED}


def _disturbed_note(shared: dict[str, Any]) -> list[str]:
    return [f"other processes took {shared['foreign_cpu_share']:.0%} of the CPU during timing"] if shared["disturbed"] else []
