"""Quality against latency, with the Pareto front: which rerankers no other beats on both counts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from bench.records.store import Run
from bench.records.table import Row, groups, headline, rows
from bench.reports.plots import Picture, pareto, style


def draw(run: Run) -> Iterator[Picture]:
    """A picture per group that has timings."""
    measures = headline(run)
    for group, members in groups(rows(run)).items():
        timed = [row for row in members if row.single is not None and row.status == "done" and row.quality]
        if timed and measures:
            dataset, first_stage, depth = group
            yield Picture.of("tradeoff", group, _tradeoff(members, timed, measures[0], f"{dataset}, {first_stage}, {depth} candidates"))


def _tradeoff(members: Sequence[Row], timed: Sequence[Row], measure: str, title: str) -> Any:
    figure, axes = style.new_figure(title)
    points = [(row.single.p50_ms, row.quality[measure].mean) for row in timed if row.single]
    for i, row in enumerate(timed):
        _draw_point(axes, row, measure, i)
    front = pareto(points)
    axes.plot(*zip(*(points[i] for i in front), strict=True), color=style.GREY, linewidth=1, linestyle="--", zorder=1, label="Pareto front")
    for row in members:
        if row.trial.kind == "reference" and measure in row.quality:
            _draw_reference(axes, row, measure)
    axes.set_xscale("log")
    low, high = min(x for x, _ in points), max(x for x, _ in points)
    axes.set_xlim(low / 2.5, high * 2.5)
    style.plain_log_ticks(axes.xaxis)
    axes.set_xlabel("median latency of one query, ms (log scale)")
    axes.set_ylabel(measure)
    style.legend(axes)
    return figure


def _draw_point(axes: Any, row: Row, measure: str, i: int) -> None:
    single, value = row.single, row.quality[measure]
    if single is None:
        return
    x, y = single.p50_ms, value.mean
    axes.errorbar(
        x,
        y,
        xerr=[[max(0.0, x - single.p50_low_ms)], [max(0.0, single.p50_high_ms - x)]],
        yerr=[[max(0.0, y - value.low)], [max(0.0, value.high - y)]],
        linestyle="none",
        **style.look(i),
        elinewidth=1,
        capsize=2,
        markersize=7,
        label=f"{row.name} ({row.trial.device})",
        zorder=3,
    )


def _draw_reference(axes: Any, row: Row, measure: str) -> None:
    axes.axhline(row.quality[measure].mean, color="#999999", linewidth=1, linestyle=":", zorder=0)
    axes.annotate(row.name, (0.01, row.quality[measure].mean), xycoords=("axes fraction", "data"), fontsize=8, color="#555555", va="bottom")
