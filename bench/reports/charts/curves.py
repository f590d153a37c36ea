"""Depth curves: quality, and the latency of one query, against the number of candidates that are
reranked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.contract.trial import FIRST_STAGE
from bench.core.counting import counted
from bench.records.points import Point, Qualities
from bench.records.rows import Row
from bench.reports import numbers
from bench.reports.charts import svg
from bench.reports.charts.svg import Mark, Scale, Size, element
from bench.reports.findings import reference
from bench.reports.names import name_of

RADIUS = 4.5
"""Pixels of a mark on a curve."""


@dataclass(frozen=True)
class Curve:
    """A row and its (depth, value) points, by rising depth. `mark` is None for the oracle, which is
    drawn as the references are.
    """

    row: Row
    points: Sequence[tuple[float, float]]
    mark: Mark | None


def quality(
    members: Sequence[Row], qualities: Qualities, measure: str, marks: Mapping[str, Mark]
) -> str:
    """Return the mean of the measure at every depth that the run holds; empty where it holds none
    below the full one.
    """
    curves = []
    for row in members:
        if row.quality and not row.trial.is_first_stage:
            by_depth = qualities.curve(row.trial.id).items()
            points = [(float(depth), mean) for depth, mean in by_depth if depth > 0]
            if points:
                curves.append(Curve(row, points, marks.get(row.trial.id)))
    first = reference(members, FIRST_STAGE, measure)
    return _chart(curves, measure, first.mean if first else None)


def latency(members: Sequence[Row], timed: Sequence[Point], marks: Mapping[str, Mark]) -> str:
    """Return the median latency of one query at every depth that was timed, each reranker as its
    row ran; empty where there was one depth only.

    Other batch sizes, number formats and threads are what `rerank-bench budget` chooses from: here
    they would be lines without a name.
    """
    by_trial: dict[str, list[Point]] = {}
    for point in timed:
        if not point.system.changes:
            by_trial.setdefault(point.trial.id, []).append(point)
    curves = []
    for row in members:
        own = by_trial.get(row.trial.id)
        if own:
            usual = max(own, key=lambda point: point.depth).settings
            alike = [point for point in own if point.settings == usual]
            points = sorted((float(point.depth), point.p50_ms) for point in alike)
            curves.append(Curve(row, points, marks.get(row.trial.id)))
    return _chart(curves, "ms per query, p50", None)


def _chart(curves: Sequence[Curve], label: str, first: float | None) -> str:
    if not any(len(curve.points) > 1 for curve in curves):
        return ""
    return svg.both_sizes(lambda size: _draw(size, curves, label, first))


def _draw(size: Size, curves: Sequence[Curve], label: str, first: float | None) -> str:
    depths: list[float] = []
    values = [] if first is None else [first]
    for curve in curves:
        depths += [depth for depth, _ in curve.points]
        values += [value for _, value in curve.points]
    x = size.across(min(depths) / 1.15, max(depths) * 1.15, log=True)
    low, high = svg.span(values)
    y = size.upward(max(0.0, low), high)
    parts = [svg.axes(size, x, y, "candidates reranked (log scale)", label, sorted(set(depths)))]
    parts += [_line(curve, x, y, label) for curve in curves]
    parts += _references(size, x, y, curves, first)
    return svg.figure(size, parts, f"{label} against the number of candidates reranked")


def _references(
    size: Size, x: Scale, y: Scale, curves: Sequence[Curve], first: float | None
) -> list[str]:
    """Return the line of the first stage, and the names of what has no mark: at the ends of their
    lines, or above the chart where these are too close.
    """
    unmarked = [curve for curve in curves if curve.mark is None]
    parts = []
    label = ""
    if first is not None:
        parts.append(svg.line(size.left, y(first), size.edge, y(first), "reference"))
        label = f"{FIRST_STAGE} {numbers.quality(first)}"
        is_crowded = svg.crowded([y(first), *(y(curve.points[-1][1]) for curve in unmarked)])
        if is_crowded or _covers_a_point(label, size.edge - 4, y(first) - 5, curves, x, y):
            labels = [label]
            for curve in unmarked:
                labels.append(f"{curve.row.name} {numbers.quality(curve.points[-1][1])}")
            return [*parts, svg.heading(size, ", ".join(labels))]
    for curve in unmarked:
        depth, value = curve.points[-1]
        words = curve.row.name
        parts.append(svg.text(words, x(depth), y(value) - 8, "reference", text_anchor="end"))
    if first is not None:
        place = size.edge - 4, y(first) - 5
        parts.append(svg.text(label, *place, "reference", text_anchor="end"))
    return parts


def _covers_a_point(
    words: str, right: float, bottom: float, curves: Sequence[Curve], x: Scale, y: Scale
) -> bool:
    """Return whether words that end at a place would be on a marked point."""
    left = right - svg.width_of(words)
    for curve in curves:
        for depth, value in curve.points:
            is_across = left - RADIUS <= x(depth) <= right + RADIUS
            is_beside = bottom - svg.LINE - RADIUS <= y(value) <= bottom + RADIUS
            if curve.mark is not None and is_across and is_beside:
                return True
    return False


def _line(curve: Curve, x: Scale, y: Scale, label: str) -> str:
    mark, style = curve.mark, "reference"
    if mark:
        style = f"curve {mark.colour}"
        if mark.turn:
            style += f" turn{min(mark.turn, 2)}"
    places = [(x(depth), y(value)) for depth, value in curve.points]
    parts = [svg.polyline(places, style)]
    for (depth, value), (at_x, at_y) in zip(curve.points, places, strict=True):
        tip = f"{name_of(curve.row.trial)}\n{counted(depth, 'candidate')}\n{label} {value:.4g}"
        shapes = [mark.at(at_x, at_y, RADIUS)] if mark else []
        shapes.append(element("circle", cx=at_x, cy=at_y, r=12, class_="target"))
        parts.append(svg.point(shapes, tip))
    return element("g", parts)
