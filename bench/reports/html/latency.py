"""Latency distributions: every timed call as a dot, a box of the middle half, whiskers to the 5th
and 95th percentile; a row a reranker.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.core.counting import counted
from bench.latency.columns import Column
from bench.latency.sample import PARAMETERS, TOTAL, Condition, condition
from bench.latency.scenarios import in_order, reader
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
    """Return one per scenario, known or not, in the order of their table; `server` at several rates
    is one. Warm-ups are left out.
    """
    if samples.empty:
        return []
    counted = samples[~samples["warmup"].astype(bool) & (samples["span"] == TOTAL)]
    calls = counted.groupby(["trial", "scenario", *PARAMETERS], dropna=False)["nanoseconds"]
    times = {
        (str(trial), condition(*of)): nanoseconds.to_numpy(dtype=float)
        for (trial, *of), nanoseconds in calls
    }
    names = in_order(of.scenario for row in members for of in row.latency)
    return [_distribution(name, members, times, marks) for name in names]


def _distribution(
    name: str,
    members: Sequence[Row],
    times: Mapping[tuple[str, Condition], NDArray[np.float64]],
    marks: Mapping[str, Mark],
) -> Distribution:
    import numpy as np

    scenario = reader(name)
    strips: list[Strip] = []
    lines: list[tuple[str, dict[str, Cell]]] = []
    for row in members:
        for of, summary in row.latency.items():
            if of.scenario == name:
                suffix = scenario.suffix(of)
                label = f"{name_of(row)} · {suffix}" if suffix else name_of(row)
                strips.append((label, row, np.sort(times[row.trial.id, of]) / 1e6))
                lines.append((label, _cells(summary, scenario.details)))
    headline = {column.title for column in scenario.columns}
    columns = [
        title
        for title in lines[0][1]
        if title in headline or any(cells[title].sort is not None for _, cells in lines)
    ]
    return Distribution(
        name,
        scenario.meaning,
        svg.both_sizes(lambda size: _draw(size, strips, marks, name)),
        columns,
        lines,
    )


def _cells(summary: Summary, columns: Sequence[Column]) -> dict[str, Cell]:
    """Return the cells of a row by title. A percentile that is withheld has no value to sort by;
    that of a single call has no interval.
    """
    cells = {}
    for column in columns:
        value, low, high = summary.of(column)
        form = numbers.form(column.format)
        below = ""
        if summary.samples > 1 and low is not None and low != high:
            below = f"[{form(low)}, {form(high)}]"
        cells[column.title] = Cell(form(value), value, below)
    cells["queries"] = Cell(str(summary.queries), summary.queries)
    cells["calls"] = Cell(str(summary.samples), summary.samples)
    return cells


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
