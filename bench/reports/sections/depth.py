"""What reranking fewer candidates gives and takes: charts per group."""

from __future__ import annotations

from bench.records.rows import GroupKey
from bench.reports.charts import curves
from bench.reports.document import Figure, Paragraph, Section
from bench.reports.names import name_of
from bench.reports.view import View

EXPLANATION = (
    "What reranking fewer candidates would have given: the first candidates reordered, the rest "
    "left as the first stage had them."
)


def depth(view: View) -> Section | None:
    """Return quality, and the latency of one query, against the number of candidates."""
    figures = {group: _figures(view, group) for group in view.groups}
    return view.section("depth", "Depth", figures, Paragraph((EXPLANATION,)))


def _figures(view: View, group: GroupKey) -> list[Figure]:
    members, measure = view.groups[group], view.measure(group)
    quality = curves.quality(members, view.run.qualities(measure), measure, view.marks)
    latency = curves.latency(members, view.points, view.marks)
    if not quality and not latency:
        return []
    marked = [row for row in members if row.trial.id in view.marks and row.status == "done"]
    legend = [(view.marks[row.trial.id], name_of(row.trial)) for row in marked]
    return [Figure((), quality + latency, legend=legend)]
