"""Quality against the number of candidates reranked: where more of them stop to help."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bench.records.rows import Row, headline_of
from bench.records.run import Run
from bench.reports.charts.svg import Mark
from bench.reports.marks import marks_of
from bench.reports.names import name_of
from bench.reports.plots import Picture, style

Curve = tuple[Row, Mapping[int, float]]
"""A row, and the mean of a measure by depth."""

TICKS = (0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)


def draw(run: Run) -> Iterator[Picture]:
    """Yield a picture per group in which some reranker's quality is known at two depths or more,
    none reranked among them.
    """
    marks = marks_of(run)
    for group, members in run.groups.items():
        measure = headline_of(members)
        qualities = run.qualities(measure)
        curves, oracles = [], []
        for row in members:
            curve = (row, qualities.curve(row.trial.id))
            if not row.quality or not curve[1]:
                continue
            if row.trial.is_oracle:
                oracles.append(curve)
            elif row.trial.kind != "reference" and len(curve[1]) > 2:
                curves.append(curve)
        if curves:
            dataset, first_stage, _ = group
            title = f"{dataset}, {first_stage}: reranking the first candidates only"
            figure = _figure(curves, oracles, marks, title)
            figure.axes[0].set_ylabel(measure)
            yield Picture.of("depth", group, figure)


def _figure(
    curves: Sequence[Curve], oracles: Sequence[Curve], marks: Mapping[str, Mark], title: str
) -> Any:
    figure, axes = style.new_figure(title)
    depths: set[int] = set()
    for row, curve in curves:
        mark = marks[row.trial.id]
        look = {"markersize": 5, "linewidth": 1.3, **style.look(mark)}
        look["linestyle"] = style.line_of(mark)
        axes.plot(list(curve), list(curve.values()), label=name_of(row.trial), **look)
        depths |= set(curve)
    for _, curve in oracles:
        look = {"color": style.GREY, "linewidth": 1, "linestyle": ":"}
        axes.plot(list(curve), list(curve.values()), label="oracle (best possible order)", **look)
    deepest = max(depths)
    ticks = [depth for depth in sorted(depths) if depth in TICKS or depth == deepest]
    axes.set_xscale("symlog", linthresh=1, linscale=0.4)
    axes.set_xticks(ticks, [str(depth) for depth in ticks])
    axes.minorticks_off()
    axes.set_xlim(-0.15, deepest * 1.15)
    axes.set_xlabel("candidates reranked (0: the first stage's order)")
    style.legend_below(axes)
    return figure
