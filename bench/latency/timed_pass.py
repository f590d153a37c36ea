"""The timed pass: what a user would deploy, timed as production feels it, all rerankers of a group
interleaved.

Scenarios (`bench.latency.scenarios`) say what is timed and are never converted into one another
(after MLPerf Inference, Reddi et al., ISCA 2020). Only raw samples leave this module.
"""

from __future__ import annotations

import gc
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from bench.contract.recipe import Recipe
from bench.contract.request import CandidateList, cut
from bench.core.errors import BenchError
from bench.core.note import Code, Note, note
from bench.latency.call import GIVE_UP_AFTER, Target
from bench.latency.lane import Lane, settled
from bench.latency.plan import LatencyPlan
from bench.latency.sample import Facts, Sample
from bench.latency.scenarios import one_query_at
from bench.latency.scenarios.base import Place, Scenario, Turn
from bench.machine import fingerprint
from bench.machine.clock import REAL_CLOCK, Clock
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
    facts: dict[str, Facts] = field(default_factory=dict)


def planned_calls(
    targets: Sequence[Target], requests: Sequence[CandidateList], plan: LatencyPlan
) -> int:
    """Return an upper bound of the calls that `measure` will make, for a progress bar, and for what
    a paid service may charge.
    """
    usable = sum(1 for request in requests if request.docs)
    return sum(plan.calls(usable, target.remote) for target in targets)


def measure(
    targets: Sequence[Target],
    requests: Sequence[CandidateList],
    plan: LatencyPlan,
    seed: int = 0,
    on_call: Callable[[int], None] = lambda calls: None,
    clock: Clock = REAL_CLOCK,
) -> LatencyResult:
    """Time every target on the same sample of requests. A call that fails, or needs a retry, is
    counted and never becomes a sample.

    The plan's time limit holds per reranker and scenario, each of which is timed at least once.
    Peak memory and load are of the process and the machine, where all targets are loaded at once.
    Raises BenchError when no request has candidates.
    """
    sample = draw_sample(requests, plan, seed)
    timings = [_timing(target, sample, plan, seed, on_call, clock) for target in targets]
    watch = Watch({target.device for target in targets})
    with _no_garbage_collection():
        for place in Place:
            _time_place(place, timings, plan)
    disturbance = watch.facts()
    peak = fingerprint.peak_rss_bytes()
    result = LatencyResult()
    for timing in timings:
        timing.lane.count_rest()
        result.samples += timing.lane.samples
        result.facts[timing.lane.target.name] = {
            **disturbance,
            "peak_rss_bytes": peak,
            **timing.facts(),
            "notes": [*(about.to_dict() for about in timing.notes()), *disturbance["disturbances"]],
        }
    return result


@dataclass
class Timing:
    """One reranker and its scenarios."""

    lane: Lane
    scenarios: Sequence[Scenario[Any]]

    def facts(self) -> Facts:
        facts = self.lane.facts()
        for scenario in self.scenarios:
            facts |= scenario.facts()
        return facts

    def notes(self) -> list[Note]:
        """Return what a reader should know before trusting the samples."""
        notes = self.lane.warmup_notes()
        for scenario in self.scenarios:
            notes += scenario.notes()
        return [*notes, *self._without_times(notes), *self.lane.call_notes()]

    def _without_times(self, notes: Sequence[Note]) -> list[Note]:
        """Return a note per scenario that has no sample, where nothing else says so: neither that
        the reranker was given up nor that fresh processes failed.
        """
        caller = self.lane.caller
        if caller.given_up:
            return []
        names = {about.where for about in notes if about.code == Code.COLD_FAILED}
        names |= {sample.scenario for sample in self.lane.samples if not sample.warmup}
        return [
            note(Code.NO_TIME, text=caller.last_error or "").at(scenario.name)
            for scenario in self.scenarios
            if scenario.name not in names
        ]


def _timing(
    target: Target,
    sample: Sequence[CandidateList],
    plan: LatencyPlan,
    seed: int,
    on_call: Callable[[int], None],
    clock: Clock,
) -> Timing:
    calls = plan.calls(len(sample), target.remote)
    lane = Lane(target, plan, sample, clock, seed=seed, calls=calls, on_call=on_call)
    scenarios = [
        scenario(name, plan.options(scenario), lane) for name, scenario in plan.timed(target.remote)
    ]
    return Timing(lane, scenarios)


def draw_sample(
    requests: Sequence[CandidateList], plan: LatencyPlan, seed: int
) -> list[CandidateList]:
    """Return the requests that are timed, cut to the plan's depth, in a seeded order that does not
    depend on the order of `requests`.
    """
    usable = sorted(
        (request for request in requests if request.docs), key=lambda request: request.query_id
    )
    if not usable:
        raise BenchError("nothing to time: no query has candidates")
    sample = random.Random(seed).sample(usable, min(plan.queries, len(usable)))
    return [cut(request, plan.depth) for request in sample]


def _time_place(place: Place, timings: Sequence[Timing], plan: LatencyPlan) -> None:
    """Time the scenarios of one place: warm the rerankers up, then take turn by turn over all of
    them, the turns of all scenarios in the order of their moments and rounds.
    """
    sharing: dict[str, list[Scenario[Any]]] = {}
    for timing in timings:
        for scenario in timing.scenarios:
            if scenario.place is place:
                sharing.setdefault(scenario.name, []).append(scenario)
    for scenarios in sharing.values():
        for scenario in scenarios:
            if scenario.warms_up:
                scenario.lane.warm_up(one_query_at(scenario.lane.target.remote))
    turns: list[tuple[Turn, list[Scenario[Any]]]] = []
    for scenarios in sharing.values():
        first = scenarios[0]
        queries = len(first.lane.sample)
        turns += [(turn, scenarios) for turn in first.turns(first.options, plan, queries)]
    for turn, scenarios in sorted(turns, key=lambda step: (step[0].moment, step[0].round)):
        for scenario in _in_turn(scenarios, turn.order):
            turn.step(scenario)


def _in_turn(scenarios: Sequence[Scenario[Any]], order: int) -> list[Scenario[Any]]:
    """Return the scenarios of rerankers that still answer, every other time in reverse."""
    alive = [scenario for scenario in scenarios if not scenario.lane.caller.given_up]
    return alive if order % 2 == 0 else alive[::-1]


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Keep Python's collector out of timed calls; what is loaded already is not looked at again
    between calls. Where the caller has frozen objects, all stay frozen afterwards.
    """
    was_on = gc.isenabled()
    was_frozen = gc.get_freeze_count() > 0
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        if not was_frozen:
            gc.unfreeze()
        if was_on:
            gc.enable()
