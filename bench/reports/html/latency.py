"""Latency distributions: every timed call as a dot, a box of the middle half, whiskers to the 5th
and 95th percentile; a row a reranker.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.core.counting import counted
from bench.latency.summary import Summary
from bench.records.rows import Row
from bench.reports import numbers
from bench.reports.html import svg
from bench.reports.html.svg import Mark, Scale, Size, element
from bench.reports.html.table import Cell
from bench.reports.summary import name_of

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

SCENARIOS: Mapping[str, str] = {
    "single": "one query in flight, from raw strings to sorted scores",
    "offline": "all pairs of the sample in one call",
    "request": "one request to a hosted service or server, network included",
    "cold": "loading in a fresh process, and the first query",
    "server": "requests arriving at random times, waiting included",
}
ROW = 46
DOTS = 150
"""Dots drawn a row; more would be a smear. They are taken at even steps through the sorted
times.
"""
BOXED = 8
"""From so many calls on, a box says more than the dots do."""


Strip = tuple[str, Row, "NDArray[np.float64]"]
"""A row of a chart: its label, whose it is, and milliseconds, sorted."""


@dataclass(frozen=True)
class Distribution:
    """One kind of scenario of a group: its chart, and numbers per row, as cells by column."""

    scenario: str
    meaning: str
    chart: str
    columns: Sequence[str]
    rows: Sequence[tuple[str, Mapping[str, Cell]]]


def distributions(
    members: Sequence[Row], samples: pd.DataFrame, marks: Mapping[str, Mark]
) -> list[Distribution]:
    """One per kind found, known or not, in the order of SCENARIOS; `server` at several rates is
    one. Warm-ups are left out.
    """
    if samples.empty:
        return []
    counted = samples[~samples["warmup"].astype(bool) & (samples["span"] == "total")]
    calls = counted.groupby(["trial", "scenario"])["nanoseconds"]
    times = {(str(trial), str(name)): found.to_numpy(dtype=float) for (trial, name), found in calls}
    order = {name: i for i, name in enumerate(SCENARIOS)}
    kinds = sorted(
        {_kind(name) for row in members for name in row.latency},
        key=lambda kind: (order.get(kind, len(order)), kind),
    )
    return [_distribution(kind, members, times, marks) for kind in kinds]


def _distribution(
    kind: str,
    members: Sequence[Row],
    times: Mapping[tuple[str, str], NDArray[np.float64]],
    marks: Mapping[str, Mark],
) -> Distribution:
    import numpy as np

    timed = [(row, name) for row in members for name in row.latency if _kind(name) == kind]
    labels = [
        name_of(row) if name == kind else f"{name_of(row)} · {name.removeprefix(kind).strip()}"
        for row, name in timed
    ]
    strips = [
        (label, row, np.sort(times[row.trial.id, name]) / 1e6)
        for label, (row, name) in zip(labels, timed, strict=True)
    ]
    lines = [
        (label, _cells(row.latency[name])) for label, (row, name) in zip(labels, timed, strict=True)
    ]
    optional = ("p95 ms", "p99 ms", "pairs/s") if kind == "offline" else ("p99 ms", "pairs/s")
    empty = {name for name in optional if all(cells[name].sort is None for _, cells in lines)}
    columns = [name for name in lines[0][1] if name not in empty]
    return Distribution(
        kind,
        SCENARIOS.get(kind, ""),
        svg.both_sizes(lambda size: _draw(size, strips, marks, kind)),
        columns,
        lines,
    )


def _kind(scenario: str) -> str:
    """`server` of "server 4.5/s"."""
    kind = scenario.partition(" ")[0]
    return kind if kind in SCENARIOS else scenario


def _cells(found: Summary) -> dict[str, Cell]:
    """A percentile that is withheld has no value to sort by; that of a single call has no
    interval.
    """

    def cell(
        value: float | None,
        low: float | None,
        high: float | None,
        form: Callable[[float | None], str],
    ) -> Cell:
        below = (
            f"[{form(low)}, {form(high)}]"
            if found.samples > 1 and low is not None and low != high
            else ""
        )
        return Cell(form(value), value, below)

    shown = numbers.milliseconds
    return {
        "p50 ms": cell(found.p50_ms, found.p50_low_ms, found.p50_high_ms, shown),
        "p95 ms": cell(found.p95_ms, found.p95_low_ms, found.p95_high_ms, shown),
        "p99 ms": cell(found.p99_ms, found.p99_low_ms, found.p99_high_ms, shown),
        "mean ms": cell(found.mean_ms, found.mean_low_ms, found.mean_high_ms, shown),
        "pairs/s": cell(
            found.pairs_per_s, found.pairs_per_s_low, found.pairs_per_s_high, numbers.rate
        ),
        "queries": Cell(str(found.queries), found.queries),
        "calls": Cell(str(found.samples), found.samples),
    }


def _draw(size: Size, strips: Sequence[Strip], marks: Mapping[str, Mark], kind: str) -> str:
    size = Size(size.name, size.width, 8 + ROW * len(strips) + 44, left=8, top=8, right=8)
    edges = svg.span(
        [float(times[at]) for _, _, times in strips for at in (0, -1)], log=True, pad=0.03
    )
    x = Scale(*edges, size.left, size.width - size.right, log=True)
    floor = size.height - size.bottom
    parts = svg.columns(x, x.ticks(9 if size.width > 500 else 5), size.top, floor)
    parts.append(
        element("line", x1=size.left, x2=size.width - size.right, y1=floor, y2=floor, class_="axis")
    )
    parts.append(
        svg.text(
            "milliseconds a call (log scale)",
            size.width - size.right,
            size.height - 6,
            class_="title",
            text_anchor="end",
        )
    )
    parts += [
        _strip(strip, x, size.top + ROW * i, marks.get(strip[1].trial.id, Mark(i)))
        for i, strip in enumerate(strips)
    ]
    return svg.figure(size, parts, f"latency, scenario {kind}, {counted(len(strips), 'row')}")


def _strip(strip: Strip, x: Scale, top: float, mark: Mark) -> str:
    import numpy as np

    label, _, times = strip
    middle, shade = top + 30, mark.colour
    low, q1, median, q3, high = (
        float(value) for value in np.quantile(times, [0.05, 0.25, 0.5, 0.75, 0.95])
    )
    parts = [svg.text(svg.fitted(label, 0.9 * (x.end - x.start)), x.start, top + 14, class_="name")]
    if len(times) < BOXED:
        parts += [mark.at(x(float(ms)), middle) for ms in times]
    else:
        shown = times[np.linspace(0, len(times) - 1, min(DOTS, len(times))).round().astype(int)]
        dots = "".join(
            f"M{x(float(ms)):.1f} {middle + (5, -3, 2, -6, 0, 7, -1)[i % 7]:.1f}h0"
            for i, ms in enumerate(shown)
        )
        parts += [
            element("path", d=dots, class_=f"dots {shade}"),
            element("line", x1=x(low), x2=x(high), y1=middle, y2=middle, class_=f"whisker {shade}"),
            element(
                "rect",
                x=x(q1),
                y=middle - 8,
                width=max(1.0, x(q3) - x(q1)),
                height=16,
                rx=2,
                class_=f"box {shade}",
            ),
            element(
                "line",
                x1=x(median),
                x2=x(median),
                y1=middle - 10,
                y2=middle + 10,
                class_=f"median {shade}",
            ),
        ]
    form = numbers.milliseconds
    tip = (
        f"{label}\nmedian {form(median)} ms, middle half {form(q1)}–{form(q3)}, "
        f"{counted(len(times), 'call')}"
    )
    return element(
        "g",
        parts,
        class_="point",
        tabindex=0,
        role="img",
        aria_label=tip.replace("\n", ": "),
        data_tip=tip,
    )
