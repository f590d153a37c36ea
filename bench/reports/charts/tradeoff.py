"""Quality against latency: a point per reranker and device, its intervals, the Pareto front of each
device.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from bench.core.counting import counted
from bench.latency.columns import P50
from bench.latency.summary import Summary
from bench.quality.statistics import Estimate
from bench.records.rows import Row
from bench.reports import numbers
from bench.reports.charts import svg
from bench.reports.charts.svg import Mark, Scale, Size, element
from bench.reports.findings import one_query
from bench.reports.names import name_of
from bench.reports.plots import pareto

Box = tuple[float, float, float, float]
TALLEST = 2.2
"""A reference farther away than so many times the points' own range is named at the edge: it would
squash them.
"""


@dataclass(frozen=True)
class Point:
    """A reranker that was both measured and timed."""

    row: Row
    timing: Summary
    value: Estimate
    mark: Mark
    where: str

    @property
    def label(self) -> str:
        timing, value = self.timing, self.value
        _, low, high = timing.of(P50)
        interval = f"{numbers.milliseconds(low)}–{numbers.milliseconds(high)}"
        return (
            f"{name_of(self.row.trial)}\n{numbers.quality(value.mean)} {numbers.interval(value)}\n"
            f"{numbers.milliseconds(timing.p50_ms)} ms [{interval}] p50 ({timing.scenario})"
        )


def points(members: Sequence[Row], measure: str, marks: Mapping[str, Mark]) -> list[Point]:
    """The points of a group. A hosted reranker has no device here: its latency is of a request over
    the network, and says so.
    """
    found: list[Point] = []
    for row in members:
        timing = one_query(row)
        # the first stage is a line, whatever its search takes
        is_point = row.trial.kind != "reference" and row.status == "done"
        if is_point and timing and measure in row.quality:
            where = row.trial.device if row.trial.device != "-" else "over the network"
            found.append(Point(row, timing, row.quality[measure], marks[row.trial.id], where))
    return found


def devices(found: Iterable[Point]) -> list[str]:
    return list(dict.fromkeys(point.where for point in found))


def draw(found: Sequence[Point], members: Sequence[Row], measure: str) -> str:
    """The chart in both sizes; empty where nothing was timed."""
    return svg.both_sizes(lambda size: _draw(size, found, members, measure)) if found else ""


def _draw(size: Size, found: Sequence[Point], members: Sequence[Row], measure: str) -> str:
    x_range = svg.span(
        [ms for point in found for ms in _range(point.timing)],
        log=True,
    )
    x = Scale(*x_range, size.left, size.width - size.right, log=True)
    own = [value for one in found for value in (one.value.low, one.value.high)]
    references = [
        (row.name, row.quality[measure].mean)
        for row in members
        if row.trial.kind == "reference" and measure in row.quality
    ]
    near = [value for _, value in references if _near(value, own)]
    y = Scale(*svg.span([*own, *near]), size.height - size.bottom, size.top)
    label = f"{measure} against the median latency of one query, {counted(len(found), 'point')}"
    parts = [
        svg.axes(
            size, x, y, "median latency of one query, ms (log scale) · faster is left", measure
        )
    ]
    if size is svg.NARROW:
        parts = [svg.axes(size, x, y, "ms a query, median (log scale)", measure)]
    parts += _references(size, y, references, near)
    for where in devices(found):
        parts.append(_front([one for one in found if one.where == where], x, y, where))
    parts += [_point(one, x, y) for one in found]
    edge = size.width - size.right
    named = [] if svg.crowded([y(value) for value in near]) else near
    taken = [(edge - 130, y(value) - 17, edge, y(value)) for value in named]
    parts += _labels(size, found, x, y, taken)
    return svg.figure(size, parts, label)


def _near(value: float, own: Sequence[float]) -> bool:
    reach = TALLEST * (max(own) - min(own))
    return min(own) - reach <= value <= max(own) + reach


def _references(
    size: Size, y: Scale, references: Sequence[tuple[str, float]], near: Sequence[float]
) -> list[str]:
    """A line for each reference with its name, or its name at the edge where it is far away; the
    names of lines that are close to one another are above the chart.
    """
    right, floor = size.width - size.right, size.height - size.bottom
    lines = [(name, value) for name, value in references if value in near]
    heights = [y(value) for _, value in lines]
    labels = [f"{name} {numbers.quality(value)}" for name, value in lines]
    parts = [
        element("line", x1=size.left, x2=right, y1=height, y2=height, class_="reference")
        for height in heights
    ]
    if svg.crowded(heights):
        parts.append(svg.heading(size, ", ".join(labels)))
    else:
        parts += [
            svg.text(label, right - 4, height - 5, class_="reference", text_anchor="end")
            for label, height in zip(labels, heights, strict=True)
        ]
    far = [(name, value) for name, value in references if value not in near]
    above = [(name, value) for name, value in far if y(value) < size.top]
    below = [(name, value) for name, value in far if y(value) >= size.top]
    for i, (name, value) in enumerate(above):
        words = f"↑ {name} {numbers.quality(value)}"
        parts.append(
            svg.text(words, size.left + 6, size.top + 12 + i * svg.LINE, class_="reference")
        )
    for i, (name, value) in enumerate(below):
        words = f"↓ {name} {numbers.quality(value)}"
        parts.append(svg.text(words, size.left + 6, floor - 8 - i * svg.LINE, class_="reference"))
    return parts


def _range(timing: Summary) -> tuple[float, float, float]:
    """Return the ends of the median's interval, and the median."""
    median, low, high = timing.of(P50)
    if median is None or low is None or high is None:
        return timing.p50_ms, timing.p50_ms, timing.p50_ms
    return low, high, median


def _front(found: Sequence[Point], x: Scale, y: Scale, where: str) -> str:
    best = pareto([(one.timing.p50_ms, one.value.mean) for one in found])
    corners = [(x(found[i].timing.p50_ms), y(found[i].value.mean)) for i in best]
    return svg.polyline(corners, class_="front", data_where=where) if len(corners) > 1 else ""


def _point(one: Point, x: Scale, y: Scale) -> str:
    timing, value = one.timing, one.value
    at_x, at_y = x(timing.p50_ms), y(value.mean)
    low, high, _ = _range(timing)
    shade = f"whisker {one.mark.colour}"
    parts = [
        element(
            "line",
            x1=x(low),
            x2=x(high),
            y1=at_y,
            y2=at_y,
            class_=shade,
        ),
        element("line", x1=at_x, x2=at_x, y1=y(value.low), y2=y(value.high), class_=shade),
        one.mark.at(at_x, at_y),
        element("circle", cx=at_x, cy=at_y, r=16, class_="target"),
    ]
    label = one.label.replace("\n", ", ")
    return element(
        "g",
        parts,
        class_="point",
        tabindex=0,
        role="img",
        aria_label=label,
        data_tip=one.label,
        data_where=one.where,
    )


def _labels(
    size: Size, found: Sequence[Point], x: Scale, y: Scale, references: Sequence[Box]
) -> list[str]:
    """Names beside their points where there is room: right, left, above, below; the legend names
    them all.
    """
    taken = [*references]
    taken += [
        (
            x(one.timing.p50_ms) - 8,
            y(one.value.mean) - 8,
            x(one.timing.p50_ms) + 8,
            y(one.value.mean) + 8,
        )
        for one in found
    ]
    parts = []
    for one in found:
        name = svg.shortened(one.row.name)
        width, at_x, at_y = svg.width_of(name), x(one.timing.p50_ms), y(one.value.mean)
        tries = ((11, -7, "start"), (-11, -7, "end"), (11, 16, "start"), (-11, 16, "end"))
        for dx, dy, anchor in tries:
            left = at_x + dx - (width if anchor == "end" else 0)
            box = (left, at_y + dy - 11, left + width, at_y + dy + 3)
            inside = (
                box[0] >= size.left and box[2] <= size.width - size.right and box[1] >= size.top
            )
            if inside and not any(_overlap(box, other) for other in taken):
                taken.append(box)
                parts.append(
                    svg.text(
                        name,
                        at_x + dx,
                        at_y + dy,
                        class_="name",
                        text_anchor=anchor,
                        data_where=one.where,
                    )
                )
                break
    return parts


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
