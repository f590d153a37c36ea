"""Latency by depth and batch size, a heat map per reranker: where a larger batch stops to help, and
where it starts to hurt.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from bench.records.points import Point
from bench.records.run import Run
from bench.reports import numbers
from bench.reports.plots import Picture, style
from bench.reports.sections.sweep import points


def draw(run: Run) -> Iterator[Picture]:
    """A picture per group in which a reranker was timed at two depths and two batch sizes or more,
    all else as the suite has it.
    """
    for group, (_, rerankers) in points(run).items():
        grids = [(members[0], grid) for members in rerankers if (grid := _grid(members))]
        if grids:
            dataset, first_stage, _ = group
            yield Picture.of(
                "sweep", group, _figure(grids, f"{dataset}, {first_stage}: median ms of one query")
            )


def _grid(members: Sequence[Point]) -> dict[tuple[int, int], Point]:
    """(depth, batch size) -> point, for the other settings that most points share, at depths with
    several sizes; or nothing.
    """
    others = [
        tuple(value for name, value in point.settings.items() if name != "batch_size")
        for point in members
    ]
    usual = max(set(others), key=others.count)
    found = {
        (point.depth, int(point.settings["batch_size"])): point
        for point, other in zip(members, others, strict=True)
        if other == usual and point.settings.get("batch_size")
    }
    rows = [depth for depth, _ in found]
    found = {
        (depth, batch): point for (depth, batch), point in found.items() if rows.count(depth) > 1
    }
    return found if len({depth for depth, _ in found}) > 1 else {}


def _figure(grids: Sequence[tuple[Point, dict[tuple[int, int], Point]]], title: str) -> Any:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.colors import LogNorm
    from matplotlib.figure import Figure

    columns = min(3, len(grids))
    lines = -(-len(grids) // columns)
    batches = max(len({batch for _, batch in grid}) for _, grid in grids)
    depths = max(len({depth for depth, _ in grid}) for _, grid in grids)
    figure = Figure(
        figsize=(max(4.2, 0.75 * batches + 1.2) * columns, (0.5 * depths + 1.1) * lines + 0.3),
        layout="constrained",
    )
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=10, x=0.01, ha="left")
    values = [point.p50_ms for _, grid in grids for point in grid.values()]
    norm = LogNorm(min(values), max(min(values) * 1.01, *values))
    for i, (first, grid) in enumerate(grids):
        axes = figure.add_subplot(lines, columns, i + 1)
        _panel(axes, grid, norm)
        axes.set_title(f"{first.trial.reranker} ({first.trial.device})", fontsize=9, loc="left")
    return figure


def _panel(axes: Any, grid: dict[tuple[int, int], Point], norm: Any) -> None:
    import numpy as np

    depths, batches = sorted({depth for depth, _ in grid}), sorted({batch for _, batch in grid})
    values = np.full((len(depths), len(batches)), np.nan)
    for (depth, batch), point in grid.items():
        values[depths.index(depth), batches.index(batch)] = point.p50_ms
    axes.imshow(values, cmap="Blues", norm=norm, aspect="auto")
    for (depth, batch), point in grid.items():
        colour = "white" if norm(point.p50_ms) > 0.6 else "black"
        at = batches.index(batch), depths.index(depth)
        axes.text(
            *at,
            numbers.milliseconds(point.p50_ms),
            ha="center",
            va="center",
            color=colour,
            fontsize=8,
        )
    axes.set_xticks(range(len(batches)), [str(batch) for batch in batches], fontsize=8)
    axes.set_yticks(range(len(depths)), [str(depth) for depth in depths], fontsize=8)
    axes.set_xlabel("batch size", fontsize=8)
    axes.set_ylabel("candidates", fontsize=8)
    axes.tick_params(length=0)
    axes.set_facecolor(style.FAINT)
