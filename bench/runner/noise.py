"""A/A: one reranker against itself. Both copies are loaded, warmed up and interleaved as two
rerankers of a run would be, so that whatever difference shows is the machine's.

Several processes, because one is steadier than several are: where memory lies, and which core a
thread begins on, is decided once a process (Georges, Buytaert & Eeckhout, OOPSLA 2007).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bench.contract.identity import Fields
from bench.core.errors import BenchError, nearest
from bench.core.note import Note, read_notes
from bench.core.progress import Observer
from bench.latency.fresh_process import ask
from bench.latency.ratios import Ratio, Times, paired_ratio
from bench.latency.timed_pass import LatencyPlan, Recipe, draw_sample
from bench.machine.fingerprint import Environment
from bench.machine.noise_floor import Noise
from bench.records.writer import now
from bench.runner.retrieve import retrieve
from bench.suite.planning import Group, Planned, plan
from bench.suite.suite import Suite

LOADING_S = 600.0
"""What a process may take next to the timing itself."""


@dataclass(frozen=True)
class Measured:
    """A noise floor, and the fingerprint of the machine as the measuring processes saw it."""

    noise: Noise
    environment: Environment


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
    timed = (suite.latency or LatencyPlan()).one_query_only(queries=queries, rounds=rounds)
    sample = draw_sample(retrieve(suite, group, observer).questions.requests, timed, suite.seed)
    recipe = Recipe(
        planned.part.name, planned.part.options, str(suite.base_dir), planned.trial.host
    )
    task = {
        "task": "twice",
        "recipe": asdict(recipe),
        "requests": [request.to_dict() for request in sample],
        "plan": timed.model_dump(mode="json"),
        "seed": suite.seed,
    }
    answers = []
    with observer.task(
        f"timing {planned.trial.reranker} against itself", processes, "processes"
    ) as advance:
        for _ in range(processes):
            answers.append(ask(task, 2 * timed.time_limit_s + LOADING_S))
            advance(1)
    depth = max(len(request.docs) for request in sample)
    noise = _noise(suite, planned, timed, depth, answers)
    return Measured(noise, answers[-1]["environment"])


def _chosen(groups: Sequence[Group], name: str | None) -> tuple[Group, Planned]:
    """Return the first reranker that runs on a device here, or that of a name."""
    local: list[tuple[Group, Planned]] = []
    for group in groups:
        for planned in group.planned:
            if planned.reranker.placement == "device":
                local.append((group, planned))
    names = {planned.trial.reranker for _, planned in local}
    if name is not None:
        if name not in names:
            raise BenchError(
                f"the suite has no reranker '{name}' that runs on a device: {nearest(name, names)}"
            )
        local = [pair for pair in local if pair[1].trial.reranker == name]
    for group, planned in local:
        if planned.status.status == "pending":
            return group, planned
    reasons = [f"{planned.trial.reranker}: {planned.status.reason}" for _, planned in local]
    problem = "no reranker of the suite runs on a device here"
    if reasons:
        problem += f" ({'; '.join(reasons)})"
    raise BenchError(problem)


def _noise(
    suite: Suite,
    planned: Planned,
    timed: LatencyPlan,
    depth: int,
    answers: Sequence[Fields],
) -> Noise:
    times = [_times(answer["rows"]) for answer in answers]
    ratios = [_ratio(ours, theirs, suite.seed) for ours, theirs in times]
    overall = _ratio(
        _pooled([ours for ours, _ in times]), _pooled([theirs for _, theirs in times]), suite.seed
    )
    return Noise(
        reranker=planned.trial.reranker,
        device=planned.trial.host,
        suite=suite.name,
        depth=depth,
        queries=min(ratio.queries for ratio in ratios),
        rounds=timed.rounds,
        processes=[ratio.median for ratio in ratios],
        ratio=overall.median,
        low=overall.low,
        high=overall.high,
        disturbances=_disturbances(answers),
        measured_at=now(),
    )


def _pooled(processes: Sequence[Times]) -> Times:
    """Return the times of a copy in all processes. A query of each process counts by itself."""
    pooled: dict[str, Mapping[int, float]] = {}
    for number, times in enumerate(processes):
        for query, turns in times.items():
            pooled[f"{number} {query}"] = turns
    return pooled


def _disturbances(answers: Sequence[Fields]) -> list[Note]:
    """Return what else the machine did during some process, each once."""
    notes: dict[Note, None] = {}
    for answer in answers:
        notes |= dict.fromkeys(read_notes(answer["disturbances"]))
    return list(notes)


def _times(rows: Sequence[Sequence[Any]]) -> tuple[Times, Times]:
    """Return both copies' nanoseconds by query and round."""
    copies: tuple[dict[str, dict[int, float]], ...] = ({}, {})
    for copy, query, turn, nanoseconds in rows:
        copies[copy].setdefault(query, {})[turn] = nanoseconds
    return copies[0], copies[1]


def _ratio(ours: Times, theirs: Times, seed: int) -> Ratio:
    ratio = paired_ratio(ours, theirs, seed)
    if ratio is None:
        raise BenchError("no query was timed on both copies")
    return ratio
