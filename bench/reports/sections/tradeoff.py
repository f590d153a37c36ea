"""Quality against latency: a chart per group."""

from __future__ import annotations

from bench.records.rows import GroupKey
from bench.reports.charts import tradeoff as chart
from bench.reports.document import Figure, Paragraph, Section
from bench.reports.view import View

EXPLANATION = (
    "Up is better, left is faster. The dashed line is the Pareto front: no other reranker is both "
    "faster and better. Bars are 95 % intervals."
)


def tradeoff(view: View) -> Section | None:
    """Return the charts of the groups that were timed."""
    figures = {group: _figures(view, group) for group in view.groups}
    return view.section("tradeoff", "Quality against latency", figures, Paragraph((EXPLANATION,)))


def _figures(view: View, group: GroupKey) -> list[Figure]:
    members, measure = view.groups[group], view.measure(group)
    points = chart.points(members, measure, view.marks)
    if not points:
        return []
    legend = [(point.mark, point.name) for point in points]
    svg = chart.draw(points, members, measure)
    front, devices = chart.has_front(points), chart.devices(points)
    return [Figure((), svg, legend=legend, front=front, devices=devices)]
