"""Learning curves: what training gains over its base, against the labelled queries."""

from __future__ import annotations

from collections.abc import Sequence

from bench.comparison.learning_curves import LearningCurve, Share
from bench.core.counting import counted
from bench.reports import numbers
from bench.reports.charts import svg
from bench.reports.charts.svg import Mark, Scale, Size, element
from bench.reports.names import name_of

MARK = Mark(0)


def chart(curve: LearningCurve) -> str:
    """Return the gain of each share with its interval, on a log scale of labelled queries."""
    return svg.both_sizes(lambda size: _draw(size, curve))


def _draw(size: Size, curve: LearningCurve) -> str:
    counts = [float(share.queries) for share in curve.shares]
    values = [0.0]
    for share in curve.shares:
        values += [share.gain.low, share.gain.high]
    x = size.across(min(counts) / 1.15, max(counts) * 1.15, log=True)
    y = size.upward(*svg.span(values))
    label = f"gain in {curve.measure} over {name_of(curve.base.trial)}"
    parts = [svg.axes(size, x, y, "labelled queries (log scale)", label, sorted(set(counts)))]
    parts.append(svg.line(size.left, y(0), size.edge, y(0), "reference"))
    parts.append(svg.polyline(_places(curve.shares, x, y), f"curve {MARK.colour}"))
    parts += [_point(share, x, y, label) for share in curve.shares]
    return svg.figure(size, parts, f"{label} against the number of labelled queries")


def _places(shares: Sequence[Share], x: Scale, y: Scale) -> list[tuple[float, float]]:
    return [(x(share.queries), y(share.gain.mean)) for share in shares]


def _point(share: Share, x: Scale, y: Scale, label: str) -> str:
    at_x, at_y = x(share.queries), y(share.gain.mean)
    interval = numbers.signed_interval(share.gain)
    tip = (
        f"{name_of(share.record.trial)}\n{counted(share.queries, 'labelled query')}\n{label} "
        f"{numbers.change(share.gain.mean)} {interval}"
    )
    shapes = [
        svg.line(at_x, y(share.gain.low), at_x, y(share.gain.high), f"whisker {MARK.colour}"),
        MARK.at(at_x, at_y, 4.5),
        element("circle", cx=at_x, cy=at_y, r=12, class_="target"),
    ]
    return svg.point(shapes, tip)
