"""Depth curves: quality, and the latency of one query, against the number of candidates that are
reranked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from bench.contract.trial import FIRST_STAGE
from bench.core.counting import counted
from bench.records.points import Point, Qualities
from bench.records.rows import Row
from bench.reports import numbers
from bench.reports.charts import svg
from bench.reports.charts.svg import Mark, Scale, Size, element
from bench.reports.names import name_of

if TYPE_CHECKING:
    pass

Curve = tuple[Row, list[tuple[float, float]]]
"""A row and its (depth, value) points, by rising depth."""


def quality(
    members: Sequence[Row], qualities: Qualities, measure: str, marks: Mapping[str, Mark]
) -> str:
    """The mean of the measure at every depth that the run holds; empty where it holds none below
    the full one.
    """
    curves = _curves(members, qualities)
    if not any(len(points) > 1 for _, points in curves):
        return ""
    first = next(
        (
            row.quality[measure].mean
            for row in members
            if row.name == FIRST_STAGE and measure in row.quality
        ),
        None,
    )
    return svg.both_sizes(lambda size: _draw(size, curves, marks, measure, first))


def latency(members: Sequence[Row], timed: Sequence[Point], marks: Mapping[str, Mark]) -> str:
    """The median latency of one query at every depth that was timed, each reranker as its row ran;
    empty where there was one depth only.

    Other batch sizes, number formats and threads are what `rerank-bench budget` chooses from: here
    they would be lines without a name.
    """
    own: dict[str, list[Point]] = {}
    for point in timed:
        if not point.system.changes:
            own.setdefault(point.trial.id, []).append(point)
    curves: list[Curve] = []
    for row in members:
        points = own.get(row.trial.id, [])
        usual = max(points, key=lambda point: point.depth).settings if points else {}
        if points:
            curves.append(
                (
                    row,
                    sorted(
                        (float(point.depth), point.p50_ms)
                        for point in points
                        if point.settings == usual
                    ),
                )
            )
    if not any(len(points) > 1 for _, points in curves):
        return ""
    return svg.both_sizes(lambda size: _draw(size, curves, marks, "ms a query, p50", None))


def _curves(members: Sequence[Row], qualities: Qualities) -> list[Curve]:
    curves: list[Curve] = []
    for row in members:
        if not row.quality or row.name == FIRST_STAGE:
            continue
        means = qualities.curve(row.trial.id)
        points = [(float(depth), mean) for depth, mean in means.items() if depth > 0]
        if points:
            curves.append((row, points))
    return curves


def _draw(
    size: Size, curves: Sequence[Curve], marks: Mapping[str, Mark], label: str, first: float | None
) -> str:
    depths = [depth for _, points in curves for depth, _ in points]
    values = [value for _, points in curves for _, value in points] + (
        [first] if first is not None else []
    )
    x = Scale(min(depths) / 1.15, max(depths) * 1.15, size.left, size.width - size.right, log=True)
    low, high = svg.span(values)
    y = Scale(max(0.0, low), high, size.height - size.bottom, size.top)
    parts = [svg.axes(size, x, y, "candidates reranked (log scale)", label, sorted(set(depths)))]
    parts += [_line(row, points, x, y, marks.get(row.trial.id), label) for row, points in curves]
    ends = {row.name: points[-1] for row, points in curves if row.trial.id not in marks}
    right = size.width - size.right
    if first is not None:
        parts.append(
            element("line", x1=size.left, x2=right, y1=y(first), y2=y(first), class_="reference")
        )
    best = [value for _, value in ends.values()]
    if first is not None and svg.crowded([y(value) for value in (*best, first)]):
        labels = [f"{name} {numbers.quality(value)}" for name, (_, value) in ends.items()]
        words = ", ".join([f"{FIRST_STAGE} {numbers.quality(first)}", *labels])
        return svg.figure(size, [*parts, svg.heading(size, words)], _title(label))
    for name, (depth, value) in ends.items():
        at = x(depth), y(value) - 8
        parts.append(svg.text(name, *at, class_="reference", text_anchor="end"))
    if first is not None:
        words = f"{FIRST_STAGE} {numbers.quality(first)}"
        place = right - 4, y(first) - 5
        parts.append(svg.text(words, *place, class_="reference", text_anchor="end"))
    return svg.figure(size, parts, _title(label))


def _title(label: str) -> str:
    return f"{label} against the number of candidates reranked"


def _line(
    row: Row,
    points: Sequence[tuple[float, float]],
    x: Scale,
    y: Scale,
    mark: Mark | None,
    label: str,
) -> str:
    """`mark` is None for the oracle, which is drawn as the references are."""
    places = [(x(depth), y(value)) for depth, value in points]
    shade = "reference" if mark is None else f"curve {mark.colour}"
    parts = [svg.polyline(places, class_=shade)]
    for (depth, value), (at_x, at_y) in zip(points, places, strict=True):
        tip = f"{name_of(row.trial)}\n{counted(depth, 'candidate')}\n{label} {value:.4g}"
        shape = mark.at(at_x, at_y, 4.5) if mark else ""
        target = element("circle", cx=at_x, cy=at_y, r=12, class_="target")
        parts.append(
            element(
                "g",
                shape + target,
                class_="point",
                tabindex=0,
                role="img",
                aria_label=tip.replace("\n", ", "),
                data_tip=tip,
            )
        )
    return element("g", parts)
