"""How long single queries took: the whole distribution, where a median hides the tail."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bench.core.counting import counted
from bench.latency.scenarios import one_query_at
from bench.latency.summary import needed, timed_calls
from bench.records.rows import Row, longest_of
from bench.records.run import Run
from bench.reports.charts.svg import Mark
from bench.reports.marks import marks_of
from bench.reports.names import name_of, title_of
from bench.reports.plots import Picture, style

if TYPE_CHECKING:
    import pandas as pd


def draw(run: Run) -> Iterator[Picture]:
    """Yield a picture per group that has timings of one query in flight, warm-ups left out."""
    if run.latency.empty:
        return
    calls = timed_calls(run.latency)
    single = calls[calls["scenario"] == one_query_at(remote=False)]
    marks = marks_of(run)
    for group, members in run.groups.items():
        timed = [row for row in members if row.trial.id in marks and _has_calls(row, single)]
        if timed:
            title = f"{title_of(group, longest_of(members))}: one query in flight"
            yield Picture.of("latency", group, _figure(timed, single, marks, title))


def _has_calls(row: Row, calls: pd.DataFrame) -> bool:
    return bool((calls["trial"] == row.trial.id).any())


def _figure(
    timed: Sequence[Row], single: pd.DataFrame, marks: Mapping[str, Mark], title: str
) -> Any:
    import numpy as np

    figure, axes = style.new_figure(title)
    for row in timed:
        calls = single[single["trial"] == row.trial.id]
        ms = np.sort(calls["nanoseconds"].to_numpy(dtype=np.float64) / 1e6)
        queries = calls["query"].nunique()
        samples = f"{counted(len(ms), 'sample')} of {counted(queries, 'query')}"
        mark = marks[row.trial.id]
        look = style.look(mark)
        step = {"where": "post", "color": look["color"], "linewidth": 1.5}
        step["linestyle"] = style.line_of(mark)
        shares = np.arange(1, len(ms) + 1) / len(ms)
        axes.step(ms, shares, label=f"{name_of(row.trial)}, {samples}", **step)
        percentiles = [0.5]
        if queries >= needed(0.95):
            percentiles.append(0.95)
        places = np.quantile(ms, percentiles)
        axes.plot(places, percentiles, linestyle="none", markersize=7, **look)
    axes.set_xscale("log")
    style.plain_log_ticks(axes.xaxis)
    axes.set_ylim(0, 1.02)
    marked = f"marks: p50, and p95 from {needed(0.95)} queries on"
    axes.set_xlabel(f"latency of one query, ms (log scale; {marked})")
    axes.set_ylabel("share of the calls that took at most this long")
    style.legend(axes)
    return figure
