"""Composed pipelines: quality against the forecast of their latency, the front marked. Where
nothing was timed, documents scored per query take the place of time.
"""

from __future__ import annotations

from typing import Any

from bench.composition.composed import ComposedPipeline, Composition
from bench.reports.plots import style

NAMED = 12
"""Pipelines of the front whose names are drawn; more would be on one another."""


def figure(composition: Composition) -> Any:
    """Return a figure of all pipelines of a composition."""
    from bench.reports.composed import title

    picture, axes = style.new_figure(title(composition))
    is_timed = all(pipeline.latency for pipeline in composition.pipelines)
    others = [_point(each, is_timed) for each in composition.pipelines if not each.on_front]
    front = sorted(_point(each, is_timed) for each in composition.front)
    axes.plot(*_columns(others), linestyle="none", marker=".", color=style.GREY, alpha=0.5)
    line = {"color": style.COLOURS[0], "marker": "o", "linestyle": "--", "linewidth": 1}
    axes.plot(*_columns(front), **line, label="Pareto front")
    for each in composition.front[:NAMED]:
        place = _point(each, is_timed)
        axes.annotate(each.name, place, (4, -9), textcoords="offset points", fontsize=6)
    axes.set_xlabel("p50 of one query, ms, forecast" if is_timed else "documents scored per query")
    axes.set_ylabel(composition.measure)
    if is_timed:
        axes.set_xscale("log")
        style.plain_log_ticks(axes.xaxis)
    style.legend(axes)
    return picture


def _point(pipeline: ComposedPipeline, is_timed: bool) -> tuple[float, float]:
    """Return where a pipeline is drawn."""
    x = float(pipeline.pairs)
    if is_timed and pipeline.latency is not None:
        x = pipeline.latency.p50_ms
    return x, pipeline.quality


def _columns(points: list[tuple[float, float]]) -> tuple[list[float], list[float]]:
    return [x for x, _ in points], [y for _, y in points]
