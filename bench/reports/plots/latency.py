"""How long single queries took: the whole distribution, where a median hides the tail."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from bench.core.counting import counted
from bench.latency.scenarios import one_query_at
from bench.latency.summary import needed, timed_calls
from bench.records.rows import Row, candidates_of
from bench.records.run import Run
from bench.reports.charts.svg import Mark
from bench.reports.marks import marks_of
from bench.reports.plots import Picture, style

if TYPE_CHECKING:
    import pandas as pd


def draw(run: Run) -> Iterator[Picture]:
    """A picture per group that has timings of one query in flight, warm-ups left out."""
    if run.latency.empty:
        return
    calls = timed_calls(run.latency)
    single = calls[calls["scenario"] == one_query_at(remote=False)]
    marks = marks_of(run)
    for group, members in run.groups.items():
        timed = [row for row in members if row.trial.id in marks and _has_calls(row, single)]
        if timed:
            dataset, first_stage, _ = group
            title = f"{dataset}, {first_stage}, {candidates_of(members)}: one query in flight"
            yield Picture.of("latency", group, _figure(timed, single, marks, title))


def _has_calls(row: Row, calls: pd.DataFrame) -> bool:
    return bool((calls["trial"] == row.trial.id).any())


def _figure(timed: list[Row], single: pd.DataFrame, marks: Mapping[str, Mark], title: str) -> Any:
    import numpy as np

    figure, axes = style.new_figure(title)
    for row in timed:
        mine = single[single["trial"] == row.trial.id]
        ms = np.sort(mine["nanoseconds"].to_numpy(dtype=np.float64) / 1e6)
        look = style.look(marks[row.trial.id])
        label = (
            f"{row.name} ({row.trial.device}), {counted(len(ms), 'sample')} of "
            f"{mine['query'].nunique()} queries"
        )
        axes.step(
            ms,
            np.arange(1, len(ms) + 1) / len(ms),
            where="post",
            color=look["color"],
            linewidth=1.5,
            label=label,
        )
        shown = [0.5, *([0.95] if mine["query"].nunique() >= needed(0.95) else [])]
        axes.plot(np.quantile(ms, shown), shown, linestyle="none", markersize=7, **look)
    axes.set_xscale("log")
    style.plain_log_ticks(axes.xaxis)
    axes.set_ylim(0, 1.02)
    axes.set_xlabel(
        "latency of one query, ms (log scale); marks at p50, and at p95 where the queries suffice"
    )
    axes.set_ylabel("share of samples at most so slow")
    style.legend(axes)
    return figure
