"""The sweep as tables: per reranker a row for each setting, a column for each depth, and the
quality that belongs to them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from bench.contract.trial import System
from bench.records.judges import is_unjudged
from bench.records.measure import resolve_measure
from bench.records.points import Point, valued
from bench.records.rows import GroupKey, group_of
from bench.records.run import Run
from bench.reports import cells, numbers
from bench.reports.cells import Cell
from bench.reports.document import Block, Column, Heading, Paragraph, Row, Section, Table
from bench.reports.names import name_of
from bench.reports.settings import LEGEND, short
from bench.reports.view import View

NOTE = (
    "p50 / p95 of one query in ms, each over its own timed queries; p95 is withheld below 59 "
    f"of them ({LEGEND})."
)


def sweep(view: View) -> Section | None:
    """Return each reranker's times at every depth and setting that was swept, and its quality
    there.
    """
    by_group: dict[GroupKey, list[Block]] = {}
    for group, (measure, rerankers) in points(view.run).items():
        blocks = by_group.setdefault(group, [])
        for members in rerankers:
            title = f"Sweep of {name_of(members[0].trial)}"
            blocks += [Heading(title, level=4), table(members, measure)]
    parts = view.parts(by_group)
    if not parts:
        return None
    return Section("sweep", "Sweep", [*parts, Paragraph((NOTE,), quiet=True)], folded=True)


def points(run: Run) -> dict[GroupKey, tuple[str, list[list[Point]]]]:
    """Return by group its headline measure and, per reranker that was swept, its timed points,
    settings in the order in which they were timed.
    """
    swept = set(run.sweep["trial"])
    if not swept:
        return {}
    by_group: dict[GroupKey, dict[str, list[Point]]] = {}
    for point in (*run.points, *run.architecture_points):
        if point.trial.id in swept:
            trials = by_group.setdefault(group_of(point.trial), {})
            trials.setdefault(point.trial.id, []).append(point)
    tables = {}
    for group, members in by_group.items():
        measure = _measure(run, members)
        swept_points = list(members.values())
        if measure:
            qualities = run.qualities(measure)
            swept_points = [list(valued(own, qualities)) for own in swept_points]
        tables[group] = (measure, swept_points)
    return tables


def table(members: Sequence[Point], measure: str) -> Table:
    """Return the table of one reranker: a row per setting, then its quality, a row per system."""
    depths = sorted({point.depth for point in members})
    columns = [Column(str(depth), str(depth), f"{depth} candidates") for depth in depths]
    rows = list(_times(members))
    if measure:
        rows += _qualities(members, measure)
    return Table("settings", columns, rows, f"sweep of {name_of(members[0].trial)}")


def _measure(run: Run, trials: Collection[str]) -> str:
    """Return the group's headline measure, from its rerankers or, where only architectures were
    timed, from any; empty where nobody has judged its queries.
    """
    records = [run.records[trial] for trial in trials if trial in run.records]
    if records and all(map(is_unjudged, records)):
        return ""
    scored = any(trial in run.records for trial in trials)
    return resolve_measure(run, None, trials if scored else None)


def _times(members: Sequence[Point]) -> Iterator[Row]:
    among = [point.settings for point in members]
    by_settings: dict[tuple[object, ...], list[Point]] = {}
    for point in members:
        by_settings.setdefault(tuple(point.settings.values()), []).append(point)
    for own in by_settings.values():
        by_column = {str(point.depth): _time(point) for point in own}
        yield Row(short(own[0].settings, among), by_column)


def _qualities(members: Sequence[Point], measure: str) -> Iterator[Row]:
    by_system: dict[System, list[Point]] = {}
    for point in members:
        if point.trial.kind != "architecture":
            by_system.setdefault(point.system, []).append(point)
    for system, own in by_system.items():
        label = measure
        if system.changes:
            label = f"{measure}, {' '.join(system.changes)}"
        yield Row(label, {str(point.depth): _quality(point) for point in own})


def _quality(point: Point) -> Cell:
    return cells.seen(cells.mean(point.quality), point.seen)


def _time(point: Point) -> Cell:
    text = numbers.milliseconds(point.p50_ms)
    if point.p95_ms is not None:
        text += f" / {numbers.milliseconds(point.p95_ms)}"
    return Cell("duration", text, point.p50_ms)
