"""The timed pass: what a user would deploy, timed as production feels it, all rerankers of a group
interleaved.

Scenarios, never converted into one another (after MLPerf Inference, Reddi et al., ISCA 2020):
`single`, one query in flight from raw strings to sorted scores on the host; `request`, the same
through a network to a machine that is not ours; `offline`, all pairs in one call; `cold`, load and
first query in a fresh process; `server`, queries that arrive by chance. Only raw samples leave this
module.
"""

from __future__ import annotations

import gc
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from bench.contract.recipe import Recipe
from bench.contract.request import CandidateList
from bench.core.errors import BenchError
from bench.latency.call import GIVE_UP_AFTER, Target
from bench.latency.plan import LatencyPlan
from bench.latency.sample import Sample
from bench.latency.timer import Timer, settled
from bench.machine import fingerprint
from bench.machine.disturbance import Watch

__all__ = [
    "GIVE_UP_AFTER",
    "LatencyPlan",
    "LatencyResult",
    "Recipe",
    "Sample",
    "Target",
    "draw_sample",
    "measure",
    "planned_calls",
    "settled",
]


@dataclass
class LatencyResult:
    """Raw samples, warm-ups among them, and per trial what a reader of their summary should
    know.
    """

    samples: list[Sample] = field(default_factory=list)
    facts: dict[str, dict[str, Any]] = field(default_factory=dict)


def planned_calls(
    targets: Sequence[Target], requests: Sequence[CandidateList], plan: LatencyPlan
) -> int:
    """An upper bound of the calls that `measure` will make, for a progress bar, and for what a paid
    service may charge.
    """
    usable = sum(1 for request in requests if request.docs)
    return sum(plan.calls(usable, target.remote) for target in targets)


def measure(
    targets: Sequence[Target],
    requests: Sequence[CandidateList],
    plan: LatencyPlan,
    seed: int = 0,
    on_call: Callable[[int], None] = lambda calls: None,
) -> LatencyResult:
    """Time every target on the same sample of requests. A call that fails, or needs a retry, is
    counted and never becomes a sample.

    The plan's time limit holds per reranker and scenario, each of which is timed at least once.
    Peak memory and load are of the process and the machine, where all targets are loaded at once.
    Raises BenchError when no request has candidates.
    """
    sample = draw_sample(requests, plan, seed)
    timers = [
        Timer(target, plan, planned_calls([target], sample, plan), on_call) for target in targets
    ]
    watch = Watch({target.device for target in targets})
    with _no_garbage_collection():
        _time_here([timer for timer in timers if not timer.target.remote], sample, plan, seed)
        _time_elsewhere([timer for timer in timers if timer.target.remote], sample, plan)
        _time_cold(timers, sample, plan)
    shared = {**watch.facts(), "peak_rss_bytes": fingerprint.peak_rss_bytes()}
    result = LatencyResult([row for timer in timers for row in timer.all_samples()])
    for timer in timers:
        timer.tell_rest()
        planned = min(plan.request_queries, len(sample)) if timer.target.remote else len(sample)
        result.facts[timer.target.name] = {
            **shared,
            **timer.facts(planned),
            "notes": [*timer.notes(planned), *shared["disturbances"]],
        }
    return result


def draw_sample(
    requests: Sequence[CandidateList], plan: LatencyPlan, seed: int
) -> list[CandidateList]:
    """The requests that are timed, cut to the plan's depth, in a seeded order that does not depend
    on the order of `requests`.
    """
    usable = sorted(
        (request for request in requests if request.docs), key=lambda request: request.query_id
    )
    if not usable:
        raise BenchError("nothing to time: no query has candidates")
    chosen = random.Random(seed).sample(usable, min(plan.queries, len(usable)))
    return [
        replace(one, doc_ids=one.doc_ids[: plan.depth], docs=one.docs[: plan.depth])
        for one in chosen
    ]


def _time_here(
    timers: Sequence[Timer], sample: Sequence[CandidateList], plan: LatencyPlan, seed: int
) -> None:
    """`single` and `offline` of the rerankers on this machine, then the parts of a few calls, then
    `server`.
    """
    if not {"single", "offline", "server"} & set(plan.scenarios):
        return
    for timer in timers:
        timer.warm_up(sample)
    for round_ in range(plan.rounds):
        if plan.asks("single"):
            _query_by_query(timers, sample, round_)
        if plan.asks("offline"):
            for timer in _abba(timers, round_):
                timer.time_offline(sample, round_)
    if plan.asks("offline"):
        for timer in timers:
            timer.time_energy()
    if plan.asks("single"):
        for i, request in enumerate(sample[: plan.span_queries]):
            for timer in _abba(timers, i):
                timer.time_spans(request)
    if plan.asks("server"):
        _time_server(timers, sample, plan, seed)


def _time_server(
    timers: Sequence[Timer], sample: Sequence[CandidateList], plan: LatencyPlan, seed: int
) -> None:
    """A load has the machine to itself: the rerankers alternate load by load."""
    rates, loads = plan.server.points()
    for timer in timers:
        timer.find_capacity(sample)
    for i, rate in enumerate(rates):
        for timer in _abba(timers, i):
            timer.time_load(sample, rate, seed)
    for i, load in enumerate(loads):
        for timer in _abba(timers, len(rates) + i):
            if timer.capacity:
                timer.time_load(sample, load * timer.capacity, seed)


def _time_elsewhere(
    timers: Sequence[Timer], sample: Sequence[CandidateList], plan: LatencyPlan
) -> None:
    """`request`, apart from the local calls: while those run, a connection idles, and clients let
    go of it after a few seconds.
    """
    if not plan.asks("request", remote=True):
        return
    for timer in timers:
        timer.warm_up(sample)
    for round_ in range(plan.rounds):
        _query_by_query(timers, sample[: plan.request_queries], round_)


def _time_cold(timers: Sequence[Timer], sample: Sequence[CandidateList], plan: LatencyPlan) -> None:
    """`cold`, process by process over all rerankers."""
    if "cold" in plan.scenarios:
        for round_ in range(plan.cold_runs):
            for timer in _abba(timers, round_):
                timer.time_cold(sample[0], round_)


def _query_by_query(timers: Sequence[Timer], sample: Sequence[CandidateList], round_: int) -> None:
    """Query by query over all targets, so that a machine that slows down slows all of them: A B C,
    then C B A.
    """
    for i, request in enumerate(sample):
        for timer in _abba(timers, round_ + i):
            timer.time_query(request, round_)


def _abba(timers: Sequence[Timer], turn: int) -> list[Timer]:
    alive = [timer for timer in timers if not timer.caller.given_up]
    return alive if turn % 2 == 0 else alive[::-1]


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Python's collector does not run inside a timed call; what is loaded already is not looked at
    again between calls.
    """
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
