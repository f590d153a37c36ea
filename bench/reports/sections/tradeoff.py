"""Quality against latency: a chart per group."""

from __future__ import annotations

from collections.abc import Sequence

from bench.records.rows import GroupKey
from bench.reports.charts import tradeoff as chart
from bench.reports.document import Block, Figure, Paragraph, Section
from bench.reports.names import name_of
from bench.reports.view import View

EXPLANATION = (
    "Up is better, left is faster. The dashed line is the Pareto front: no other reranker is both "
    "faster and better. Bars are 95 % intervals."
)


def tradeoff(view: View) -> Section | None:
    """Return the charts of the groups that were timed."""
    by_group: list[tuple[GroupKey, Sequence[Block]]] = []
    for group, members in view.groups.items():
        measure = view.measure(group)
        points = chart.points(members, measure, view.marks)
        if points:
            legend = [(point.mark, name_of(point.row.trial)) for point in points]
            svg = chart.draw(points, members, measure)
            figure = Figure((), svg, legend=legend, front=True, devices=chart.devices(points))
            by_group.append((group, [figure]))
    if not by_group:
        return None
    blocks = [Paragraph((EXPLANATION,)), *view.parts(by_group)]
    return Section("tradeoff", "Quality against latency", blocks)
