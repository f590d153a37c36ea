"""Quality against the number of candidates reranked: where more of them stop to help."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from bench.contract.trial import ORACLE
from bench.records.rows import Row, headline_of
from bench.records.run import Run
from bench.reports.charts.svg import Mark
from bench.reports.marks import marks_of
from bench.reports.plots import Picture, style

if TYPE_CHECKING:
    pass


def draw(run: Run) -> Iterator[Picture]:
    """A picture per group in which some reranker's quality is known at two depths or more, none
    reranked among them.
    """
    marks = marks_of(run)
    for group, members in run.groups.items():
        measure = headline_of(members)
        qualities = run.qualities(measure)
        means = {row.trial.id: qualities.curve(row.trial.id) for row in members if row.quality}
        known = [row for row in members if means.get(row.trial.id)]
        curved = [
            row for row in known if row.trial.kind != "reference" and len(means[row.trial.id]) > 2
        ]
        if curved:
            dataset, first_stage, _ = group
            figure = _figure(
                known,
                curved,
                means,
                measure,
                marks,
                f"{dataset}, {first_stage}: reranking the first candidates only",
            )
            yield Picture.of("depth", group, figure)


def _figure(
    known: list[Row],
    curved: list[Row],
    means: Mapping[str, Mapping[int, float]],
    measure: str,
    marks: Mapping[str, Mark],
    title: str,
) -> Any:
    figure, axes = style.new_figure(title)
    for row in curved:
        curve = means[row.trial.id]
        name = row.name if row.trial.device in ("-", "cpu") else f"{row.name} ({row.trial.device})"
        axes.plot(
            list(curve),
            list(curve.values()),
            markersize=5,
            linewidth=1.3,
            label=name,
            **style.look(marks[row.trial.id]),
        )
    for row in known:
        if row.name == ORACLE:
            curve = means[row.trial.id]
            axes.plot(
                list(curve),
                list(curve.values()),
                color=style.GREY,
                linewidth=1,
                linestyle=":",
                label="oracle (best possible order)",
            )
    axes.set_xscale("symlog", linthresh=1, linscale=0.4)
    every: set[int] = set()
    for row in curved:
        every.update(means[row.trial.id])
    depths = sorted(every)
    shown = [
        depth
        for depth in depths
        if depth in (0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000) or depth == depths[-1]
    ]
    axes.set_xticks(shown, [str(depth) for depth in shown])
    axes.minorticks_off()
    axes.set_xlim(-0.15, depths[-1] * 1.15)
    axes.set_xlabel("candidates reranked (0: the first stage's order)")
    axes.set_ylabel(measure)
    style.legend(axes)
    return figure
