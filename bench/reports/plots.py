"""Pictures of a run: quality against latency with the Pareto front. matplotlib is imported here only, when a picture is drawn."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.atomic import write_atomically
from bench.records.store import Run
from bench.records.table import GroupKey, Row, groups, headline, rows

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")  # Okabe & Ito's colour-blind-safe set
MARKERS = ("o", "s", "^", "D", "v", "P", "X")


def write_tradeoffs(run: Run) -> dict[GroupKey, Path]:
    """One PNG per group that has timings: `tradeoff-<dataset>-<first stage>.png`. Returns the files written, by group."""
    measures = headline(run)
    written = {}
    for (dataset, first_stage, depth), members in groups(rows(run)).items():
        timed = [row for row in members if row.single is not None and row.status == "done"]
        if timed and measures:
            name = "".join(letter if letter.isalnum() or letter in "._-" else "-" for letter in f"{dataset}-{first_stage}")
            path = run.folder / f"tradeoff-{name}.png"
            write_atomically(path, _tradeoff(members, timed, measures[0], f"{dataset}, {first_stage}, {depth} candidates"))
            written[dataset, first_stage, depth] = path
    return written


def pareto(points: Sequence[tuple[float, float]]) -> list[int]:
    """Indices of the points that no other beats on both counts: (cost, lower is better; quality, higher is better), by rising cost."""
    front: list[int] = []
    best = float("-inf")
    for i in sorted(range(len(points)), key=lambda i: (points[i][0], -points[i][1])):
        if points[i][1] > best:
            front.append(i)
            best = points[i][1]
    return front


def _tradeoff(members: Sequence[Row], timed: Sequence[Row], measure: str, title: str) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 4.6), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    points = [(row.single.p50_ms, row.quality[measure].mean) for row in timed if row.single]
    for i, row in enumerate(timed):
        _draw_point(axes, row, measure, i)
    front = pareto(points)
    axes.plot(*zip(*(points[i] for i in front), strict=True), color="#777777", linewidth=1, linestyle="--", zorder=1, label="Pareto front")
    for row in members:
        if row.trial.kind == "reference" and measure in row.quality:
            _draw_reference(axes, row, measure)
    axes.set_xscale("log")
    low, high = min(x for x, _ in points), max(x for x, _ in points)
    axes.set_xlim(low / 2.5, high * 2.5)
    _label_ticks(axes)
    axes.set_xlabel("median latency of one query, ms (log scale)")
    axes.set_ylabel(measure)
    axes.set_title(title, fontsize=10, loc="left")
    axes.grid(color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.legend(fontsize=8, loc="best", framealpha=0.9)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=150, metadata={"Software": None})
    return buffer.getvalue()


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
        fmt=MARKERS[i % len(MARKERS)],
        color=COLOURS[i % len(COLOURS)],
        elinewidth=1,
        capsize=2,
        markersize=7,
        label=f"{row.name} ({row.trial.device})",
        zorder=3,
    )


def _draw_reference(axes: Any, row: Row, measure: str) -> None:
    axes.axhline(row.quality[measure].mean, color="#999999", linewidth=1, linestyle=":", zorder=0)
    axes.annotate(row.name, (0.01, row.quality[measure].mean), xycoords=("axes fraction", "data"), fontsize=8, color="#555555", va="bottom")


def _label_ticks(axes: Any) -> None:
    """Plain numbers at 1, 2 and 5 of each decade: a log axis of less than a decade otherwise shows no number at all."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
