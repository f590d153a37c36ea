"""Latency distributions: every timed call as a dot, a box of the middle half, whiskers to the 5th
and 95th percentile; a row a reranker.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

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
"""Dots drawn a row; more would be a smear. They are taken at even steps through the sorted
times.
"""
BOXED = 8
"""From so many calls on, a box says more than the dots do."""


Strip = tuple[str, Row, "NDArray[np.float64]"]
"""A row of a chart: its label, whose it is, and milliseconds, sorted."""


def draw(kind: str, strips: Sequence[Strip], marks: Mapping[str, Mark]) -> str:
    """Return the chart of one kind of scenario, in both sizes."""
    return svg.both_sizes(lambda size: _draw(size, strips, marks, kind))


def _draw(size: Size, strips: Sequence[Strip], marks: Mapping[str, Mark], kind: str) -> str:
    size = Size(size.name, size.width, 8 + ROW * len(strips) + 44, left=8, top=8, right=8)
    edges = svg.span(
        [float(times[at]) for _, _, times in strips for at in (0, -1)], log=True, pad=0.03
    )
    x = Scale(*edges, size.left, size.width - size.right, log=True)
    floor = size.height - size.bottom
    parts = svg.columns(x, x.ticks(9 if size.width > 500 else 5), size.top, floor)
    parts.append(svg.x_axis(size))
    parts.append(svg.x_title(size, "milliseconds a call (log scale)"))
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
