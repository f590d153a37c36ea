"""The best quality inside a latency budget: over rerankers, depths, number formats, runtimes and
batch sizes of a run.

Reads records only, and chooses among what was timed. What lies between two timed depths is offered
beside the choice, never as the choice.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bench.contract.trial import System, Trial
from bench.core.errors import BenchError, RecordError, nearest
from bench.latency.sample import Condition
from bench.latency.scenarios import one_query_at
from bench.latency.summary import needed
from bench.quality import statistics
from bench.records import baselines
from bench.records.measure import resolve_measure
from bench.records.points import Point, Qualities, interpolated, valued
from bench.records.rows import Row, disturbances_of
from bench.records.run import Run

Outcome = Literal["fits", "nothing fits", "withheld"]

EXIT_CODES: dict[Outcome, int] = {"fits": 0, "nothing fits": 1, "withheld": 4}


@dataclass(frozen=True)
class Limits:
    """Milliseconds that a query may take: in the median, in 95 of 100 cases, or both."""

    p50_ms: float | None = None
    p95_ms: float | None = None

    def used(self, point: Point) -> float | None:
        """The largest share of a limit that a point uses: it fits up to 1. None where a percentile
        that was asked for is withheld and the median, which is no larger, does not tell either.
        """
        shares: list[float] = []
        is_withheld = self.p95_ms is not None and point.p95_ms is None
        if self.p50_ms is not None:
            shares.append(point.p50_ms / self.p50_ms)
        if self.p95_ms is not None:
            high_ms = point.p50_ms if point.p95_ms is None else point.p95_ms
            shares.append(high_ms / self.p95_ms)
        largest = max(shares)
        if is_withheld and largest <= 1:
            return None
        return largest

    def __str__(self) -> str:
        limits = {"p50": self.p50_ms, "p95": self.p95_ms}
        parts = [f"{name} ≤ {limit:g} ms" for name, limit in limits.items() if limit is not None]
        return ", ".join(parts)

    def fit(self, point: Point) -> bool:
        """Whether a point is known to use no more than the limits."""
        used = self.used(point)
        return used is not None and used <= 1


@dataclass(frozen=True, repr=False)
class Choice:
    """The answer for one first stage over one dataset.

    `best` has the highest quality of what fits, and of equals the fastest; `runner_up` is the next
    one by another system, else by another depth; `difference` is best - runner_up, paired by query.
    `fitting` holds the best fitting point of each system, `too_slow` the nearest one of each system
    that has none, `withheld` and `unscored` a point of each system that too few queries timed or
    nothing scored. `uncompared` holds a point of each system whose order means nothing: where
    another one fits, it is neither the best nor among what fits. `latency_only` holds what would
    fit of networks without weights, whose quality nobody knows: never a choice. `unlimited` has the
    highest quality of all, `between` the highest of interpolated points, where it fits and would
    beat the best. `untimed` are the rerankers of the group that have no time, and `disturbances`
    what else the machine did during the timing, as in a record. `search_ms` is the p50 of the first
    stage alone, None where it was not timed.
    """

    dataset: str
    first_stage: str
    measure: str
    limits: Limits
    first_stage_quality: float | None
    best: Point | None
    runner_up: Point | None
    difference: statistics.Difference | None
    fitting: tuple[Point, ...]
    too_slow: tuple[Point, ...]
    withheld: tuple[Point, ...]
    unscored: tuple[Point, ...]
    uncompared: tuple[Point, ...]
    unlimited: Point | None
    between: Point | None
    latency_only: tuple[Point, ...]
    timed_depths: tuple[int, ...]
    untimed: tuple[Row, ...] = ()
    disturbances: tuple[str, ...] = ()
    search_ms: float | None = None

    def __repr__(self) -> str:
        where = f"{self.measure} within {self.limits} on {self.dataset}, {self.first_stage}"
        counts = (
            f"{len(self.fitting)} fit, {len(self.too_slow)} too slow, {len(self.withheld)} withheld"
        )
        return f"<Choice: {where}: {self.best or self.outcome}; {counts}>"

    @property
    def best_untimed(self) -> Row | None:
        """The reranker without a time whose quality is above that of all timed ones."""
        level = -math.inf
        if self.unlimited:
            level = _quality(self.unlimited)
        rows = [row for row in self.untimed if self.measure in row.quality and not row.meaningless]
        better = [row for row in rows if row.quality[self.measure].mean > level]
        return max(better, key=lambda row: row.quality[self.measure].mean, default=None)

    @property
    def outcome(self) -> Outcome:
        if self.best:
            return "fits"
        if self.withheld:
            return "withheld"
        return "nothing fits"


def budget(
    run: Run | Path | str,
    *,
    p95_ms: float | None = None,
    p50_ms: float | None = None,
    device: str | None = None,
    measure: str | None = None,
    dataset: str | None = None,
    first_stage: str | None = None,
) -> list[Choice]:
    """The choice for each dataset and first stage of a run, or for those named. `device` is such as
    cuda, or cuda:1.

    Raises BenchError without a limit or for a name that the run lacks, RecordError when no reranker
    of the run was timed.
    """
    limits = _limits(p50_ms, p95_ms)
    if not isinstance(run, Run):
        run = baselines.find(run)
    points = list(run.points)
    if not points:
        timed = newest_timed(run)
        fix = "run its suite with latency, or give another run"
        if timed is not None:
            fix = f"of the same suite, {timed.folder} was: give that one"
        raise RecordError(f"{run.folder}: no reranker of this run was timed; {fix}")
    points = _only(points, "dataset", dataset, lambda point: [point.trial.dataset])
    points = _only(points, "first-stage", first_stage, lambda point: [point.trial.first_stage])
    points = _only(points, "device", device, _devices)
    groups: dict[tuple[str, str], list[Point]] = {}
    for point in points:
        groups.setdefault(_place(point.trial), []).append(point)
    bare = [
        point for point in run.architecture_points if device is None or device in _devices(point)
    ]
    choices: list[Choice] = []
    for members in groups.values():
        name = resolve_measure(run, measure, {point.trial.id for point in members})
        qualities = run.qualities(name)
        choices.append(_choose(run, valued(members, qualities), bare, name, limits, qualities))
    return choices


def newest_timed(run: Run) -> Run | None:
    """Return the newest run next to this one, of the same suite, in which a reranker was timed."""
    siblings: list[Run] = []
    for path in run.folder.absolute().parent.glob("[!.]*/run.json"):
        try:
            sibling = Run(run.folder.parent / path.parent.name)
            is_timed = sibling.info.suite == run.info.suite and bool(sibling.points)
        except RecordError:
            continue
        if is_timed:
            siblings.append(sibling)
    return max(siblings, key=lambda sibling: sibling.info.started, default=None)


def exit_code(outcomes: Iterable[Outcome]) -> int:
    """0 when something fits everywhere, 1 when nothing does somewhere, 4 when too few queries were
    timed to tell.
    """
    distinct = set(outcomes)
    for outcome in ("nothing fits", "withheld"):
        if outcome in distinct:
            return EXIT_CODES[outcome]
    return EXIT_CODES["fits"]


def missing_queries(point: Point) -> int:
    """How many distinct queries more have to be timed before p95 may be shown."""
    return max(0, needed(0.95) - point.queries)


def _choose(
    run: Run,
    points: Sequence[Point],
    bare: Sequence[Point],
    measure: str,
    limits: Limits,
    qualities: Qualities,
) -> Choice:
    scored = sorted((point for point in points if point.values), key=_rank)
    withheld: list[Point] = []
    slow: list[tuple[float, Point]] = []
    for point in scored:
        used = limits.used(point)
        if used is None:
            withheld.append(point)
        elif used > 1:
            slow.append((used, point))
    slow.sort(key=lambda pair: pair[0])
    fitting = _meaningful([point for point in scored if limits.fit(point)])
    per_system = _first_of_each(fitting)
    systems = {point.system for point in per_system}
    is_meaningless = all(point.meaningless for point in scored)
    too_slow = [point for _, point in slow if is_meaningless or not point.meaningless]
    best, runner_up = next(iter(fitting), None), _runner_up(fitting)
    timed = [point for point in scored if not point.meaningless]
    between = [point for point in interpolated(timed, qualities) if limits.fit(point)]
    if best is not None:
        between = [point for point in between if _quality(point) > _quality(best)]
    group = _place(points[0].trial)
    unnamed = [point for point in bare if _place(point.trial) == group and limits.fit(point)]
    return Choice(
        *group,
        measure=measure,
        limits=limits,
        first_stage_quality=_first_stage_quality(run, group, measure),
        best=best,
        runner_up=runner_up,
        difference=_difference(best, runner_up, run.seed),
        fitting=per_system,
        too_slow=_first_of_each(point for point in too_slow if point.system not in systems),
        withheld=_first_of_each(withheld),
        unscored=_first_of_each(point for point in points if not point.values),
        uncompared=_uncompared(scored, [*fitting, *too_slow, *withheld]),
        unlimited=next(iter(scored), None),
        between=min(between, key=_rank, default=None),
        latency_only=_deepest(unnamed),
        timed_depths=tuple(sorted({point.depth for point in points})),
        untimed=_untimed(run, group),
        disturbances=_disturbances(run, points),
        search_ms=_search_ms(run, group),
    )


def _meaningful(points: list[Point]) -> list[Point]:
    """Return the points whose order means something; all of them where none does."""
    return [point for point in points if not point.meaningless] or points


def _uncompared(scored: Sequence[Point], compared: Sequence[Point]) -> tuple[Point, ...]:
    """Return a point of each system that has no place among those compared."""
    systems = {point.system for point in compared}
    return _first_of_each(
        point for point in scored if point.meaningless and point.system not in systems
    )


def _untimed(run: Run, group: tuple[str, str]) -> tuple[Row, ...]:
    timed = {point.trial.id for point in run.points}
    rows = [row for row in run.rows if _place(row.trial) == group]
    return tuple(row for row in rows if row.trial.kind == "reranker" and row.trial.id not in timed)


def _disturbances(run: Run, points: Sequence[Point]) -> tuple[str, ...]:
    timed = {point.trial.id for point in points}
    return tuple(disturbances_of(row for row in run.rows if row.trial.id in timed))


def _search_ms(run: Run, group: tuple[str, str]) -> float | None:
    condition = Condition(one_query_at(remote=False))
    for trial_id, record in run.records.items():
        if record.trial.is_first_stage and _place(record.trial) == group:
            summary = run.summaries.get((trial_id, condition))
            return None if summary is None else summary.p50_ms
    return None


def _limits(p50_ms: float | None, p95_ms: float | None) -> Limits:
    limits = [limit for limit in (p50_ms, p95_ms) if limit is not None]
    if not limits:
        raise BenchError("a budget needs a limit: --p95-ms 100, or --p50-ms 100 for the median")
    if any(not (math.isfinite(limit) and limit > 0) for limit in limits):
        raise BenchError(f"{Limits(p50_ms, p95_ms)}: a limit is a number of milliseconds above 0")
    return Limits(p50_ms, p95_ms)


def _only(
    points: list[Point], option: str, name: str | None, names_of: Callable[[Point], list[str]]
) -> list[Point]:
    if name is None:
        return points
    named = [point for point in points if name in names_of(point)]
    if not named:
        known: set[str] = set()
        for point in points:
            known.update(names_of(point))
        raise BenchError(
            f"--{option} {name}: nothing of that name was timed in this run: {nearest(name, known)}"
        )
    return named


def _place(trial: Trial) -> tuple[str, str]:
    return trial.dataset, trial.first_stage


def _devices(point: Point) -> list[str]:
    device = point.trial.device
    if device is None:
        return []
    return [device, device.partition(":")[0]]


def _deepest(points: Iterable[Point]) -> tuple[Point, ...]:
    """Of every network the point with the most candidates, and of equals the fastest."""
    return _first_of_each(sorted(points, key=lambda point: (-point.depth, point.p50_ms)))


def _quality(point: Point) -> float:
    if point.quality is None:
        return -math.inf
    return point.quality


def _rank(point: Point) -> tuple[bool, float, float, float]:
    """Best quality first; equals by their times. What means nothing comes last."""
    p95_ms = math.inf if point.p95_ms is None else point.p95_ms
    return point.meaningless, -_quality(point), p95_ms, point.p50_ms


def _runner_up(fitting: Sequence[Point]) -> Point | None:
    """By another system, else at another depth; what means something is not set beside what does
    not.
    """
    like = [point for point in fitting if point.meaningless == fitting[0].meaningless]
    others = [point for point in like if point.system != fitting[0].system]
    depths = [point for point in like if point.depth != fitting[0].depth]
    return next(iter([*others, *depths]), None)


def _first_of_each(points: Iterable[Point]) -> tuple[Point, ...]:
    """The first point of every system, in the order given."""
    by_system: dict[System, Point] = {}
    for point in points:
        by_system.setdefault(point.system, point)
    return tuple(by_system.values())


def _difference(best: Point | None, other: Point | None, seed: int) -> statistics.Difference | None:
    if best is None or other is None:
        return None
    ours, theirs = best.values, other.values
    if not ours or not theirs:
        return None
    queries = [query for query in ours if query in theirs]
    if not queries:
        return None
    new, old = [ours[query] for query in queries], [theirs[query] for query in queries]
    return statistics.difference(new, old, seed)


def _first_stage_quality(run: Run, group: tuple[str, str], measure: str) -> float | None:
    for record in run.records.values():
        if record.trial.is_first_stage and _place(record.trial) == group:
            estimate = record.quality.get(measure)
            return None if estimate is None else estimate.mean
    return None
