"""The sweep as tables: per reranker a line for each setting, a column for each depth, and the
quality that belongs to them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bench.comparison.pairs import resolve_measure
from bench.records.points import Point, valued
from bench.records.rows import GroupKey
from bench.records.run import Run
from bench.reports import numbers
from bench.reports.settings import LEGEND, short

NOTE = (
    "p50 / p95 of one query in ms, each over its own timed queries; p95 is withheld below 59 "
    f"of them ({LEGEND})."
)


def points(run: Run) -> dict[GroupKey, tuple[str, list[list[Point]]]]:
    """By group its headline measure and, per reranker that was swept, its timed points, settings in
    the order in which they were timed.
    """
    swept = set(run.sweep["trial"])
    found: dict[GroupKey, dict[str, list[Point]]] = {}
    for point in (*run.points, *run.architecture_points) if swept else ():
        trial = point.trial
        if trial.id in swept:
            found.setdefault((trial.dataset, trial.first_stage, trial.depth), {}).setdefault(
                trial.id, []
            ).append(point)
    names = {group: _measure(run, members) for group, members in found.items()}
    qualities = {name: run.qualities(name) for name in names.values()}
    return {
        group: (names[group], [valued(one, qualities[names[group]]) for one in members.values()])
        for group, members in found.items()
    }


def _measure(run: Run, trials: Mapping[str, Any]) -> str:
    """The group's headline measure, from its rerankers or, where only architectures were timed,
    from any.
    """
    return resolve_measure(
        run, None, trials if any(trial in run.records for trial in trials) else None
    )


def lines(members: Sequence[Point], measure: str) -> Iterator[Sequence[str]]:
    """The table of one reranker: a head, a line per setting, then its quality, a line per
    system.
    """
    depths = sorted({point.depth for point in members})
    among = [point.settings for point in members]
    yield ("settings", *map(str, depths))
    for settings in dict.fromkeys(tuple(point.settings.items()) for point in members):
        at = {point.depth: point for point in members if tuple(point.settings.items()) == settings}
        yield (
            short(dict(settings), among),
            *(_times(at[depth]) if depth in at else numbers.NOTHING for depth in depths),
        )
    for system in dict.fromkeys(point.system for point in members):
        own = [point for point in members if point.system == system]
        if own[0].trial.kind == "architecture":
            continue
        quality = {point.depth: point.quality for point in own}
        label = ", ".join([measure, *([" ".join(system.changes)] if system.changes else [])])
        yield (
            label,
            *(
                numbers.NOTHING if (value := quality.get(depth)) is None else numbers.quality(value)
                for depth in depths
            ),
        )


def _times(point: Point) -> str:
    return numbers.milliseconds(point.p50_ms) + (
        f" / {numbers.milliseconds(point.p95_ms)}" if point.p95_ms is not None else ""
    )
