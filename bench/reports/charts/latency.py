"""Latency distributions: every timed call as a dot, a box of the middle half, whiskers to the 5th
and 95th percentile; a row per reranker.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from bench.core.counting import counted
from bench.records.rows import Row
from bench.reports import numbers
from bench.reports.charts import svg
from bench.reports.charts.svg import Mark, Scale, Size, element

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ROW = 46
DOTS = 150
"""Dots per row; more would be a smear. They are taken at even steps through the sorted times."""
JITTER = (5, -3, 2, -6, 0, 7, -1)
"""Pixels by which dots are moved up and down, in turns, so that equal times do not hide."""
TICKS = {"wide": 9, "narrow": 5}
"""At most, by the name of the chart's size."""
BOXED = 8
"""From this number of calls on, a box says more than the dots do."""


class Strip(NamedTuple):
    """A row of a chart: its label, whose it is, and milliseconds, sorted."""

    label: str
    row: Row
    times: NDArray[np.float64]


def draw(kind: str, strips: Sequence[Strip], marks: Mapping[str, Mark]) -> str:
    """Return the chart of one kind of scenario, in both sizes."""
    return svg.both_sizes(lambda size: _draw(size, strips, marks, kind))


def _draw(size: Size, strips: Sequence[Strip], marks: Mapping[str, Mark], kind: str) -> str:
    size = replace(size, height=8 + ROW * len(strips) + 44, left=8, top=8, right=8)
    ends: list[float] = []
    for strip in strips:
        ends += [float(strip.times[0]), float(strip.times[-1])]
    low, high = svg.span(ends, log=True, pad=0.03)
    x = size.across(low, high, log=True)
    parts = svg.columns(x, x.ticks(TICKS[size.name]), size.top, size.floor)
    parts.append(svg.x_axis(size))
    parts.append(svg.x_title(size, "milliseconds per call (log scale)"))
    for i, strip in enumerate(strips):
        mark = marks.get(strip.row.trial.id, Mark(i))
        parts.append(_strip(strip, x, size.top + ROW * i, mark))
    return svg.figure(size, parts, f"latency, scenario {kind}, {counted(len(strips), 'row')}")


def _strip(strip: Strip, x: Scale, top: float, mark: Mark) -> str:
    import numpy as np

    label, _, times = strip
    middle = top + 30
    low, q1, median, q3, high = np.quantile(times, [0.05, 0.25, 0.5, 0.75, 0.95]).tolist()
    parts = [svg.text(svg.fitted(label, 0.9 * (x.end - x.start)), x.start, top + 14, "name")]
    if len(times) < BOXED:
        parts += [mark.at(x(float(ms)), middle) for ms in times]
    else:
        parts.append(_dots(times, x, middle, mark))
        parts.append(svg.line(x(low), middle, x(high), middle, f"whisker {mark.colour}"))
        width = max(1.0, x(q3) - x(q1))
        box = f"box {mark.colour}"
        parts.append(
            element("rect", x=x(q1), y=middle - 8, width=width, height=16, rx=2, class_=box)
        )
        bar = f"median {mark.colour}"
        parts.append(svg.line(x(median), middle - 10, x(median), middle + 10, bar))
    half = f"{numbers.milliseconds(q1)}–{numbers.milliseconds(q3)}"
    calls = counted(len(times), "call")
    tip = f"{label}\nmedian {numbers.milliseconds(median)} ms, middle half {half}, {calls}"
    return svg.point(parts, tip)


def _dots(times: NDArray[np.float64], x: Scale, middle: float, mark: Mark) -> str:
    import numpy as np

    steps = np.linspace(0, len(times) - 1, min(DOTS, len(times))).round().astype(int)
    path = ""
    for i, ms in enumerate(times[steps]):
        path += f"M{x(float(ms)):.1f} {middle + JITTER[i % len(JITTER)]:.1f}h0"
    return element("path", d=path, class_=f"dots {mark.colour}")
