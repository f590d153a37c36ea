"""A/A: one reranker against itself. Both copies are loaded, warmed up and interleaved as two
rerankers of a run would be, so that whatever difference shows is the machine's.

Several processes, because one is steadier than several are: where memory lies, and which core a
thread begins on, is decided once a process (Georges, Buytaert & Eeckhout, OOPSLA 2007).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bench.core.errors import BenchError, nearest
from bench.core.note import Note, read_notes
from bench.core.progress import Observer
from bench.latency.fresh_process import ask
from bench.latency.ratios import Ratio, Times, paired_ratio
from bench.latency.timed_pass import LatencyPlan, Recipe, draw_sample
from bench.machine.noise_floor import Noise
from bench.records.writer import now
from bench.runner.retrieve import retrieve
from bench.suite.planning import Group, Planned, plan
from bench.suite.suite import Suite

LOADING_S = 600.0
"""What a process may take beside the timing itself."""


@dataclass(frozen=True)
class Measured:
    """A noise floor, and the fingerprint of the machine as the measuring processes saw it."""

    noise: Noise
    environment: dict[str, Any]


def measure(
    suite: Suite,
    reranker: str | None = None,
    *,
    device: str | None = None,
    processes: int = 3,
    queries: int = 20,
    rounds: int = 2,
    observer: Observer | None = None,
) -> Measured:
    """Time two copies of a reranker of the suite (the first one that runs on a device here, or the
    one named) in fresh processes.

    Raises BenchError when there is no such reranker, or a process could not time it.
    """
    observer = observer or Observer()
    group, planned = _chosen(plan(suite, device, lenient=True), reranker)
    given = suite.latency or LatencyPlan()
    timed = given.one_query_only(queries=queries, rounds=rounds)
    sample = draw_sample(retrieve(suite, group, observer).questions.requests, timed, suite.seed)
    recipe = Recipe(planned.part.name, planned.part.options, str(suite.base_dir))
    how = {"plan": timed.model_dump(mode="json"), "seed": suite.seed}
    task = {
        "task": "twice",
        "recipe": asdict(recipe),
        "device": planned.trial.device,
        "requests": [request.to_dict() for request in sample],
        **how,
    }
    answers = []
    with observer.task(
        f"timing {planned.trial.reranker} against itself", processes, "processes"
    ) as advance:
        for _ in range(processes):
            answers.append(ask(task, 2 * timed.time_limit_s + LOADING_S))
            advance(1)
    noise = _noise(suite, planned, timed, max(len(one.docs) for one in sample), answers)
    return Measured(noise, answers[-1]["environment"])


def _chosen(groups: Sequence[Group], name: str | None) -> tuple[Group, Planned]:
    found = [
        (group, one)
        for group in groups
        for one in group.planned
        if one.reranker.placement == "device"
    ]
    names = {one.trial.reranker for _, one in found}
    if name is not None and name not in names:
        raise BenchError(
            f"the suite has no reranker '{name}' that runs on a device: {nearest(name, names)}"
        )
    wanted = [(group, one) for group, one in found if name in (None, one.trial.reranker)]
    ready = [(group, one) for group, one in wanted if one.status.status == "pending"]
    if not ready:
        reasons = "; ".join(f"{one.trial.reranker}: {one.status.reason}" for _, one in wanted)
        raise BenchError(
            f"no reranker of the suite runs on a device here{f' ({reasons})' if reasons else ''}"
        )
    return ready[0]


def _noise(
    suite: Suite,
    planned: Planned,
    timed: LatencyPlan,
    depth: int,
    answers: Sequence[dict[str, Any]],
) -> Noise:
    times = [_times(answer["rows"]) for answer in answers]
    each = [_ratio(ours, theirs, suite.seed) for ours, theirs in times]
    pooled = [
        {
            f"{i} {query}": turns
            for i, pair in enumerate(times)
            for query, turns in pair[side].items()
        }
        for side in (0, 1)
    ]
    whole = _ratio(pooled[0], pooled[1], suite.seed)
    return Noise(
        reranker=planned.trial.reranker,
        device=planned.trial.device,
        suite=suite.name,
        depth=depth,
        queries=min(one.queries for one in each),
        rounds=timed.rounds,
        processes=[one.median for one in each],
        ratio=whole.median,
        low=whole.low,
        high=whole.high,
        disturbances=_disturbances(answers),
        measured_at=now(),
    )


def _disturbances(answers: Sequence[dict[str, Any]]) -> list[Note]:
    """Return what else the machine did during some process, each once."""
    notes: dict[Note, None] = {}
    for answer in answers:
        notes |= dict.fromkeys(read_notes(answer["disturbances"]))
    return list(notes)


def _times(rows: Sequence[Sequence[Any]]) -> tuple[Times, Times]:
    """Both copies' nanoseconds by query and round."""
    copies: tuple[dict[str, dict[int, float]], ...] = ({}, {})
    for copy, query, turn, nanoseconds in rows:
        copies[copy].setdefault(query, {})[turn] = nanoseconds
    return copies[0], copies[1]


def _ratio(ours: Times, theirs: Times, seed: int) -> Ratio:
    ratio = paired_ratio(ours, theirs, seed)
    if ratio is None:
        raise BenchError("no query was timed on both copies")
    return ratio
