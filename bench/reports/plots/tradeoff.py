"""Quality against latency, with the Pareto front: which rerankers no other beats on both counts.

A point is a median with its interval; the bar behind it is p95 with its own. Hosted rerankers are
outside the front, and the legend says "request": their times hold a network and are not comparable
with those taken here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bench.latency.columns import P50, P95, Interval
from bench.latency.summary import Summary
from bench.records.rows import Row, candidates_of, headline_of
from bench.records.run import Run
from bench.reports.charts.svg import Mark
from bench.reports.findings import one_query
from bench.reports.marks import marks_of
from bench.reports.plots import Picture, pareto, style

CLOSE = 0.05
"""Share of the height of the picture within which two labels would be on one another."""


def draw(run: Run) -> Iterator[Picture]:
    """A picture per group that has timings."""
    marks = marks_of(run)
    for group, members in run.groups.items():
        timed = []
        for row in members:
            summary = one_query(row)
            # the first stage is a line, whatever its search takes
            is_point = row.trial.kind != "reference" and row.status == "done" and row.quality
            if summary and is_point:
                timed.append((row, summary))
        if timed:
            dataset, first_stage, _ = group
            yield Picture.of(
                "tradeoff",
                group,
                _tradeoff(
                    members,
                    timed,
                    headline_of(members),
                    marks,
                    f"{dataset}, {first_stage}, {candidates_of(members)}",
                ),
            )


def _tradeoff(
    members: Sequence[Row],
    timed: Sequence[tuple[Row, Summary]],
    measure: str,
    marks: Mapping[str, Mark],
    title: str,
) -> Any:
    figure, axes = style.new_figure(title)
    for row, found in timed:
        _draw_point(axes, row, found, measure, marks[row.trial.id])
    here = [(found.p50_ms, row.quality[measure].mean) for row, found in timed if row.query_here]
    if here:
        front = zip(*(here[i] for i in pareto(here)), strict=True)
        axes.plot(
            *front, color=style.GREY, linewidth=1, linestyle="--", zorder=1, label="Pareto front"
        )
    references = {
        row.name: row.quality[measure].mean
        for row in members
        if row.trial.kind == "reference" and measure in row.quality
    }
    axes.set_xscale("log")
    low, high = (
        min(found.p50_ms for _, found in timed),
        max(found.p95_ms or found.p50_ms for _, found in timed),
    )
    axes.set_xlim(low / 2.5, high * 2.5)
    style.plain_log_ticks(axes.xaxis)
    with_p95 = ", bars: p95" if any(found.p95_ms for _, found in timed) else ""
    axes.set_xlabel(f"latency of one query, ms (log scale; points: median{with_p95})")
    axes.set_ylabel(measure)
    _draw_references(axes, references)
    _add_per_pair(axes, [found for _, found in timed])
    style.legend(axes)
    return figure


def _draw_point(axes: Any, row: Row, found: Summary, measure: str, mark: Mark) -> None:
    look, value = style.look(mark), row.quality[measure]
    x, y = found.p50_ms, value.mean
    axes.errorbar(
        x,
        y,
        xerr=_reach(found.of(P50)),
        yerr=_reach(Interval(y, value.low, value.high)),
        linestyle="none",
        **look,
        elinewidth=1,
        capsize=2,
        markersize=7,
        label=f"{row.name} (request)"
        if row.query_elsewhere
        else f"{row.name} ({row.trial.device})",
        zorder=3,
    )
    if found.p95_ms is not None:
        reach = _reach(found.of(P95))
        axes.plot([x, found.p95_ms], [y, y], color=look["color"], linewidth=1, alpha=0.4, zorder=2)
        axes.errorbar(
            found.p95_ms,
            y,
            xerr=reach,
            linestyle="none",
            color=look["color"],
            marker="|",
            markersize=9,
            alpha=0.6,
            zorder=2,
        )


def _reach(interval: Interval) -> list[list[float]]:
    """Return how far an error bar reaches to either side."""
    value, low, high = interval
    if value is None or low is None or high is None:
        return [[0.0], [0.0]]
    return [[max(0.0, value - low)], [max(0.0, high - value)]]


def _add_per_pair(axes: Any, timed: Sequence[Summary]) -> None:
    """A second axis in milliseconds per pair, where every query had as many candidates: it is the
    first one divided by their number.
    """
    pairs = {round(found.p50_ms / found.per_pair_ms, 6) for found in timed if found.per_pair_ms}
    if len(pairs) != 1:
        return
    count = pairs.pop()
    top = axes.secondary_xaxis("top", functions=(lambda ms: ms / count, lambda ms: ms * count))
    style.plain_log_ticks(top.xaxis)
    top.set_xlabel("ms a pair (amortised)", fontsize=8)
    top.tick_params(labelsize=8)


def _draw_references(axes: Any, references: Mapping[str, float]) -> None:
    """A line for each, with its name; lines so close that one name would be on the other share a
    label.
    """
    for value in references.values():
        axes.axhline(value, color="#999999", linewidth=1, linestyle=":", zorder=0)
    low, high = axes.get_ylim()
    labels: dict[float, str] = {}
    for name, value in references.items():
        near = (place for place in labels if abs(place - value) < CLOSE * (high - low))
        place = next(near, value)
        labels[place] = f"{labels[place]}, {name}" if place in labels else name
    for value, label in labels.items():
        axes.annotate(
            label,
            (0.01, value),
            xycoords=("axes fraction", "data"),
            fontsize=8,
            color="#555555",
            va="bottom",
        )
