"""Latency by depth and batch size, a heat map per reranker: where a larger batch stops to help, and
where it starts to hurt.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bench.records.points import Point
from bench.records.run import Run
from bench.reports import numbers
from bench.reports.names import name_of
from bench.reports.plots import Picture, style
from bench.reports.sections.sweep import points

Grid = Mapping[tuple[int, int], Point]
"""(depth, batch size) -> point."""


def draw(run: Run) -> Iterator[Picture]:
    """Yield a picture per group in which a reranker was timed at two depths and two batch sizes or
    more, all else as the suite has it.
    """
    for group, (_, rerankers) in points(run).items():
        grids = {name_of(members[0].trial): _grid(members) for members in rerankers}
        grids = {name: grid for name, grid in grids.items() if grid}
        if grids:
            dataset, first_stage, _ = group
            title = f"{dataset}, {first_stage}: median ms of one query"
            yield Picture.of("sweep", group, _figure(grids, title))


def _grid(members: Sequence[Point]) -> Grid:
    """Return the points whose other settings are those that most points share, at depths with
    several sizes; nothing where that is one depth.
    """
    by_settings: dict[tuple[object, ...], dict[tuple[int, int], Point]] = {}
    shared = Counter[tuple[object, ...]]()
    for point in members:
        others = tuple(v for name, v in point.settings.items() if name != "batch_size")
        shared[others] += 1
        batch = point.settings.get("batch_size")
        if batch:
            by_settings.setdefault(others, {})[point.depth, int(batch)] = point
    [(usual, _)] = shared.most_common(1)
    grid = by_settings.get(usual, {})
    sizes = Counter(depth for depth, _ in grid)
    grid = {place: point for place, point in grid.items() if sizes[place[0]] > 1}
    return grid if len(_depths(grid)) > 1 else {}


def _depths(grid: Grid) -> list[int]:
    return sorted({depth for depth, _ in grid})


def _batches(grid: Grid) -> list[int]:
    return sorted({batch for _, batch in grid})


def _figure(grids: Mapping[str, Grid], title: str) -> Any:
    from matplotlib.colors import LogNorm

    columns = min(3, len(grids))
    lines = -(-len(grids) // columns)
    batches = max(len(_batches(grid)) for grid in grids.values())
    depths = max(len(_depths(grid)) for grid in grids.values())
    width = max(4.2, 0.75 * batches + 1.2) * columns
    figure = style.empty_figure(width, (0.5 * depths + 1.1) * lines + 0.3)
    figure.suptitle(title, fontsize=10, x=0.01, ha="left")
    times: list[float] = []
    for grid in grids.values():
        times += [point.p50_ms for point in grid.values()]
    norm = LogNorm(min(times), max(min(times) * 1.01, *times))
    for i, (name, grid) in enumerate(grids.items(), 1):
        axes = figure.add_subplot(lines, columns, i)
        _panel(axes, grid, norm)
        axes.set_title(name, fontsize=9, loc="left")
    return figure


def _panel(axes: Any, grid: Grid, norm: Any) -> None:
    import numpy as np

    depths, batches = _depths(grid), _batches(grid)
    values = np.full((len(depths), len(batches)), np.nan)
    for (depth, batch), point in grid.items():
        y, x = depths.index(depth), batches.index(batch)
        values[y, x] = point.p50_ms
        colour = "white" if norm(point.p50_ms) > 0.6 else "black"
        form = {"ha": "center", "va": "center", "color": colour, "fontsize": 8}
        axes.text(x, y, numbers.milliseconds(point.p50_ms), **form)
    axes.imshow(values, cmap="Blues", norm=norm, aspect="auto")
    axes.set_xticks(range(len(batches)), [str(batch) for batch in batches], fontsize=8)
    axes.set_yticks(range(len(depths)), [str(depth) for depth in depths], fontsize=8)
    axes.set_xlabel("batch size", fontsize=8)
    axes.set_ylabel("candidates", fontsize=8)
    axes.tick_params(length=0)
    axes.set_facecolor(style.FAINT)
