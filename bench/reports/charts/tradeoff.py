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
from bench.reports.findings import one_query, references
from bench.reports.names import name_of
from bench.reports.wording import NOT_IN_VERDICT

Box = tuple[float, float, float, float]
"""Left, top, right and bottom in pixels."""
FAR = 2.2
"""A reference that is farther away than this multiple of the points' own range is named at the
edge: it would squash them.
"""
NAME_ROOM = 195
"""Pixels of a name next to its point; the legend has it in full."""
PLACES = ((11, -7, "start"), (-11, -7, "end"), (11, 16, "start"), (-11, 16, "end"))
"""Where a name may be: to the right, to the left, and below either."""


@dataclass(frozen=True)
class Point:
    """A reranker that was both measured and timed."""

    row: Row
    timing: Summary
    value: Estimate
    mark: Mark
    where: str

    @property
    def name(self) -> str:
        """Return what a legend calls it: a word says that a row leads no verdict."""
        name = name_of(self.row.trial)
        return f"{name}{NOT_IN_VERDICT}" if self.row.meaningless else name

    @property
    def label(self) -> str:
        timing, value = self.timing, self.value
        _, low, high = timing.of(P50)
        interval = f"{numbers.milliseconds(low)}–{numbers.milliseconds(high)}"
        return (
            f"{self.name}\n{numbers.quality(value.mean)} {numbers.interval(value)}\n"
            f"{numbers.milliseconds(timing.p50_ms)} ms [{interval}] p50 ({timing.scenario})"
        )

    @property
    def reach(self) -> tuple[float, float]:
        """Return the ends of the median's interval; the median twice where it has none."""
        _, low, high = self.timing.of(P50)
        if low is None or high is None:
            return self.timing.p50_ms, self.timing.p50_ms
        return low, high

    def at(self, x: Scale, y: Scale) -> tuple[float, float]:
        return x(self.timing.p50_ms), y(self.value.mean)


def points(members: Sequence[Row], measure: str, marks: Mapping[str, Mark]) -> list[Point]:
    """Return the points of a group. A hosted reranker has no device here: its latency is of a
    request over the network, and says so.
    """
    timed = []
    for row in members:
        timing = one_query(row)
        # The first stage is a line, whatever its search takes.
        if timing is None or row.trial.kind == "reference":
            continue
        where = row.trial.device or "over the network"
        if row.status == "done" and measure in row.quality:
            timed.append(Point(row, timing, row.quality[measure], marks[row.trial.id], where))
    return timed


def devices(timed: Iterable[Point]) -> list[str]:
    return list(dict.fromkeys(point.where for point in timed))


def pareto(timed: Iterable[Point]) -> list[Point]:
    """Return the points that no other beats on both counts, by rising latency; none whose order
    means nothing.
    """
    front: list[Point] = []
    meaningful = [point for point in timed if not point.row.meaningless]
    for point in sorted(meaningful, key=lambda point: (point.timing.p50_ms, -point.value.mean)):
        if not front or point.value.mean > front[-1].value.mean:
            front.append(point)
    return front


def has_front(timed: Sequence[Point]) -> bool:
    """Return whether the front of any device is a line: one point is none."""
    by_device = [[point for point in timed if point.where == where] for where in devices(timed)]
    return any(len(pareto(members)) > 1 for members in by_device)


def draw(timed: Sequence[Point], members: Sequence[Row], measure: str) -> str:
    """Return the chart in both sizes."""
    return svg.both_sizes(lambda size: _draw(size, timed, members, measure))


def _draw(size: Size, timed: Sequence[Point], members: Sequence[Row], measure: str) -> str:
    times: list[float] = []
    values: list[float] = []
    for point in timed:
        times += [*point.reach, point.timing.p50_ms]
        values += [point.value.low, point.value.high]
    means = {name: value.mean for name, value in references(members, measure).items()}
    near = {name: mean for name, mean in means.items() if _is_near(mean, values)}
    x = size.across(*svg.span(times, log=True), log=True)
    y = size.upward(*svg.span([*values, *near.values()]))
    x_label = "median latency of one query, ms (log scale) · faster is left"
    if size is svg.NARROW:
        x_label = "ms per query, median (log scale)"
    parts = [svg.axes(size, x, y, x_label, measure)]
    is_crowded = svg.crowded([y(mean) for mean in near.values()])
    parts += _near_references(size, y, near, is_crowded)
    parts += _far_references(size, y, {name: means[name] for name in means if name not in near})
    for where in devices(timed):
        parts.append(_front([point for point in timed if point.where == where], x, y, where))
    parts += [_point(point, x, y) for point in timed]
    boxes: list[Box] = []
    if not is_crowded:
        boxes = [(size.edge - 130, y(mean) - 17, size.edge, y(mean)) for mean in near.values()]
    parts += _labels(size, timed, x, y, boxes)
    label = f"{measure} against the median latency of one query, {counted(len(timed), 'point')}"
    return svg.figure(size, parts, label)


def _is_near(value: float, values: Sequence[float]) -> bool:
    reach = FAR * (max(values) - min(values))
    return min(values) - reach <= value <= max(values) + reach


def _near_references(
    size: Size, y: Scale, means: Mapping[str, float], is_crowded: bool
) -> list[str]:
    """Return a line with its name for each; the names of lines that are close to one another are
    above the chart.
    """
    heights = [y(mean) for mean in means.values()]
    labels = [f"{name} {numbers.quality(mean)}" for name, mean in means.items()]
    parts = [svg.line(size.left, height, size.edge, height, "reference") for height in heights]
    if is_crowded:
        return [*parts, svg.heading(size, ", ".join(labels))]
    for label, height in zip(labels, heights, strict=True):
        parts.append(svg.text(label, size.edge - 4, height - 5, "reference", text_anchor="end"))
    return parts


def _far_references(size: Size, y: Scale, means: Mapping[str, float]) -> list[str]:
    """Return the name of each at the edge of the chart that it is beyond."""
    above = [name for name, mean in means.items() if y(mean) < size.top]
    below = [name for name in means if name not in above]
    parts = []
    for i, name in enumerate(above):
        words, height = f"↑ {name} {numbers.quality(means[name])}", size.top + 12 + i * svg.LINE
        parts.append(svg.text(words, size.left + 6, height, "reference"))
    for i, name in enumerate(below):
        words, height = f"↓ {name} {numbers.quality(means[name])}", size.floor - 8 - i * svg.LINE
        parts.append(svg.text(words, size.left + 6, height, "reference"))
    return parts


def _front(timed: Sequence[Point], x: Scale, y: Scale, where: str) -> str:
    front = pareto(timed)
    if len(front) < 2:
        return ""
    return svg.polyline([point.at(x, y) for point in front], "front", data_where=where)


def _point(point: Point, x: Scale, y: Scale) -> str:
    at_x, at_y = point.at(x, y)
    low, high = point.reach
    style = f"whisker {point.mark.colour}"
    parts = [
        svg.line(x(low), at_y, x(high), at_y, style),
        svg.line(at_x, y(point.value.low), at_x, y(point.value.high), style),
        point.mark.at(at_x, at_y),
        element("circle", cx=at_x, cy=at_y, r=16, class_="target"),
    ]
    return svg.point(parts, point.label, data_where=point.where)


def _labels(
    size: Size, timed: Sequence[Point], x: Scale, y: Scale, references: Sequence[Box]
) -> list[str]:
    """Return names next to their points where there is room; the legend has them all."""
    boxes = [*references]
    for point in timed:
        at_x, at_y = point.at(x, y)
        boxes.append((at_x - 8, at_y - 8, at_x + 8, at_y + 8))
    parts = []
    for point in timed:
        at_x, at_y = point.at(x, y)
        name = svg.fitted(point.row.name, NAME_ROOM)
        width = svg.width_of(name)
        for dx, dy, anchor in PLACES:
            left = at_x + dx
            if anchor == "end":
                left -= width
            box = (left, at_y + dy - 11, left + width, at_y + dy + 3)
            is_inside = left >= size.left and box[2] <= size.edge and box[1] >= size.top
            if is_inside and not any(_overlap(box, other) for other in boxes):
                boxes.append(box)
                where = {"text_anchor": anchor, "data_where": point.where}
                parts.append(svg.text(name, at_x + dx, at_y + dy, "name", **where))
                break
    return parts


def _overlap(box: Box, other: Box) -> bool:
    return box[0] < other[2] and other[0] < box[2] and box[1] < other[3] and other[1] < box[3]
