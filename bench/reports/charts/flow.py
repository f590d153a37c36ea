"""The relevant documents on their way through a pipeline, as a band that narrows where a stage
loses some of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from bench.records.losses import LossRecord, StageLosses
from bench.reports.charts import svg
from bench.reports.charts.svg import Size, element

WIDE = Size("wide", 960, 300, left=16, right=120, top=50, bottom=40)
NARROW = Size("narrow", 350, 320, left=4, right=72, top=50, bottom=60)
BAR = 16
"""Pixels of a stage's bar."""
WAYS = {"not retrieved": 1, "cut": 4, "ranked below": 5, "failed": 3}
"""How documents are lost, and the colour of each, by its number."""


class Loss(NamedTuple):
    """Documents that leave at a stage."""

    way: str
    documents: int


class Node(NamedTuple):
    """A stage: how many relevant documents reach it, and what leaves there."""

    name: str
    reached: int
    losses: list[Loss]

    @property
    def passed(self) -> int:
        return self.reached - sum(loss.documents for loss in self.losses)


def nodes(record: LossRecord) -> list[Node]:
    """Return the stages of a picture, each with the documents that no stage before it lost."""
    reached = record.relevant
    stages: list[Node] = []
    for stage in record.stages:
        node = Node(stage.stage, reached, list(_losses(stage)))
        stages.append(node)
        reached = node.passed
    return stages


def chart(record: LossRecord, name: str) -> str:
    """Return the picture of a pipeline, for a desk and for a phone."""
    return _draw(WIDE, record, name) + _draw(NARROW, record, name)


def summary(record: LossRecord, name: str) -> str:
    """Return what the picture shows, to be read aloud."""
    parts = [f"{record.relevant} relevant documents of {name}"]
    for node in nodes(record):
        lost = [f"{loss.documents} {loss.way}" for loss in node.losses]
        parts.append(f"{node.name}: {', '.join(lost) or 'none lost'}")
    parts.append(f"{record.in_top} in the top {record.cutoff}")
    return "; ".join(parts)


def _losses(stage: StageLosses) -> Iterator[Loss]:
    counts = (stage.not_retrieved, stage.cut, stage.ranked_below, stage.failed)
    for way, count in zip(WAYS, counts, strict=True):
        if count:
            yield Loss(way, count)


def _draw(size: Size, record: LossRecord, name: str) -> str:
    stages = nodes(record)
    step = (size.edge - size.left) / max(1, len(stages))
    unit = (size.floor - size.top) / max(1, record.relevant)
    parts: list[str] = []
    for number, node in enumerate(stages):
        parts += _stage(size, node, size.left + number * step, step, unit)
    middle = size.top + record.in_top * unit / 2
    top = f"in top {record.cutoff}"
    parts.append(svg.text(f"{record.in_top:,}", size.edge + 8, middle, "name"))
    parts.append(svg.text(top, size.edge + 8, middle + svg.LINE, "tick"))
    return svg.figure(size, parts, summary(record, name))


def _stage(size: Size, node: Node, x: float, step: float, unit: float) -> list[str]:
    """Return a stage: its name, a bar of what reaches it, and the band of what leaves it."""
    room = step - 8
    top, bottom = size.top, size.top + node.passed * unit
    parts = [
        svg.text(svg.fitted(node.name, room), x, top - 30, "name"),
        svg.text(svg.fitted(f"of {node.reached:,}", room), x, top - 14, "tick"),
        _block(x, x + BAR, top, bottom, "c0"),
        _block(x + BAR, x + step, top, bottom, "c0 band"),
    ]
    # labels stand apart, and below the band, even where the bar's parts are thin
    label = bottom + 2
    for loss in node.losses:
        start, bottom = bottom, bottom + loss.documents * unit
        label = max((start + bottom) / 2 + 4, label + svg.LINE)
        tip = f"{node.name}\n{loss.documents:,} of {node.reached:,}: {loss.way}"
        shapes = [_block(x, x + BAR, start, bottom, f"c{WAYS[loss.way]}")]
        for words in _lines(f"{loss.documents:,}", loss.way, room - BAR):
            shapes.append(svg.text(words, x + BAR + 6, label, "tick"))
            label += svg.LINE
        label -= svg.LINE
        parts.append(svg.point(shapes, tip))
    return parts


def _lines(number: str, way: str, room: float) -> list[str]:
    """Return a label in one line where it fits, else in two."""
    if svg.width_of(f"{number} {way}") <= room:
        return [f"{number} {way}"]
    return [number, svg.fitted(way, room)]


def _block(x: float, end: float, top: float, bottom: float, look: str) -> str:
    corners = f"{x:.1f},{top:.1f} {end:.1f},{top:.1f} {end:.1f},{bottom:.1f} {x:.1f},{bottom:.1f}"
    return element("polygon", points=corners, class_=f"flow {look}")
