"""Quality against latency, with the Pareto front: which rerankers no other beats on both counts.

A point is a median, its bars are 95 % intervals; the faint line leads to p95 with its own. Hosted
rerankers are outside the front, and the legend says "request": their times hold a network and are
not comparable with those taken here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bench.latency.columns import P50, P95, Interval
from bench.latency.summary import Summary
from bench.records.rows import Row, headline_of, longest_of
from bench.records.run import Run
from bench.reports.charts import tradeoff as chart
from bench.reports.charts.tradeoff import Point
from bench.reports.findings import references
from bench.reports.marks import marks_of
from bench.reports.names import title_of
from bench.reports.plots import Picture, style

CLOSE = 0.05
"""Share of the height of the picture within which two labels would be on one another."""


def draw(run: Run) -> Iterator[Picture]:
    """Yield a picture per group that has timings."""
    marks = marks_of(run)
    for group, members in run.groups.items():
        points = chart.points(members, headline_of(members), marks)
        if points:
            title = title_of(group, longest_of(members))
            yield Picture.of("tradeoff", group, _figure(members, points, title))


def _figure(members: Sequence[Row], points: Sequence[Point], title: str) -> Any:
    figure, axes = style.new_figure(title)
    measure = headline_of(members)
    for point in points:
        _draw_point(axes, point)
    front = chart.pareto(point for point in points if point.row.query_here)
    # one point is no line
    if len(front) > 1:
        line = {"color": style.GREY, "linewidth": 1, "linestyle": "--", "zorder": 1}
        times = [point.timing.p50_ms for point in front]
        axes.plot(times, [point.value.mean for point in front], **line, label="Pareto front")
    axes.set_xscale("log")
    timings = [point.timing for point in points]
    low = min(timing.p50_ms for timing in timings)
    high = max(timing.p95_ms or timing.p50_ms for timing in timings)
    axes.set_xlim(low / 2.5, high * 2.5)
    style.plain_log_ticks(axes.xaxis)
    marked = "points: median, bars: 95 % intervals"
    if any(timing.p95_ms for timing in timings):
        marked += ", faint tick: p95"
    axes.set_xlabel(f"latency of one query, ms (log scale; {marked})")
    axes.set_ylabel(measure)
    means = {name: value.mean for name, value in references(members, measure).items()}
    _draw_references(axes, means)
    _add_per_pair(axes, timings)
    style.legend_below(axes)
    return figure


def _draw_point(axes: Any, point: Point) -> None:
    row, timing, value = point.row, point.timing, point.value
    look = style.look(point.mark)
    x, y = timing.p50_ms, value.mean
    label = point.name
    if row.query_elsewhere:
        label += " (request)"
    axes.errorbar(
        x,
        y,
        xerr=_reach(timing.of(P50)),
        yerr=_reach(Interval(y, value.low, value.high)),
        linestyle="none",
        **look,
        elinewidth=1,
        capsize=2,
        markersize=7,
        label=label,
        zorder=3,
    )
    if timing.p95_ms is not None:
        shade = {"color": look["color"], "zorder": 2}
        reach = _reach(timing.of(P95))
        bar = {"linestyle": "none", "marker": "|", "markersize": 9, "alpha": 0.6, **shade}
        axes.plot([x, timing.p95_ms], [y, y], linewidth=1, alpha=0.4, **shade)
        axes.errorbar(timing.p95_ms, y, xerr=reach, **bar)


def _reach(interval: Interval) -> list[list[float]]:
    """Return how far an error bar reaches to either side."""
    value, low, high = interval
    if value is None or low is None or high is None:
        return [[0.0], [0.0]]
    return [[max(0.0, value - low)], [max(0.0, high - value)]]


def _add_per_pair(axes: Any, timed: Sequence[Summary]) -> None:
    """Add a second axis in milliseconds per pair, where every query had as many candidates: it is
    the first one divided by their number.
    """
    pairs = {
        round(summary.p50_ms / summary.per_pair_ms, 6) for summary in timed if summary.per_pair_ms
    }
    if len(pairs) != 1:
        return
    count = pairs.pop()
    top = axes.secondary_xaxis("top", functions=(lambda ms: ms / count, lambda ms: ms * count))
    style.plain_log_ticks(top.xaxis)
    top.set_xlabel("ms per pair (amortised)", fontsize=8)
    top.tick_params(labelsize=8)


def _draw_references(axes: Any, means: Mapping[str, float]) -> None:
    """Draw a line for each, with its name; lines so close that one name would be on the other share
    a label.
    """
    for mean in means.values():
        axes.axhline(mean, color="#999999", linewidth=1, linestyle=":", zorder=0)
    low, high = axes.get_ylim()
    labels: dict[float, list[str]] = {}
    for name, mean in means.items():
        near = (height for height in labels if abs(height - mean) < CLOSE * (high - low))
        labels.setdefault(next(near, mean), []).append(name)
    form = {"xycoords": ("axes fraction", "data"), "fontsize": 8, "color": "#555555"}
    for height, names in labels.items():
        axes.annotate(", ".join(names), (0.01, height), va="bottom", **form)
