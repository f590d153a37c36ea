"""Relevant documents on their way through each pipeline, and where they are lost."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bench.records.losses import LossRecord
from bench.records.run import Run
from bench.reports.charts import flow
from bench.reports.names import name_of
from bench.reports.plots import Picture, style

WIDTH = 0.5
"""Of a bar; the next one is 1 away."""


def draw(run: Run) -> Iterator[Picture]:
    """Yield a picture per pipeline of which the run tells what it lost."""
    for group, members in run.groups.items():
        for row in members:
            if row.stages and row.losses is not None:
                title = f"{group[0]}, {name_of(row.trial)}: where relevant documents go"
                figure = _figure(row.losses, title)
                yield Picture.of("flow", group, figure, name_of(row.trial))


def _figure(record: LossRecord, title: str) -> Any:
    figure, axes = style.new_figure(title, height=3.6)
    nodes = flow.nodes(record)
    drawn: set[str] = set()
    for number, node in enumerate(nodes):
        axes.bar(number, node.passed, WIDTH, color=style.COLOURS[0])
        _label(axes, number - WIDTH / 2, node.passed / 2, f"{node.passed:,} ", "right")
        base = node.passed
        for loss in node.losses:
            label = None if loss.way in drawn else loss.way
            drawn.add(loss.way)
            colour = style.COLOURS[flow.WAYS[loss.way]]
            axes.bar(number, loss.documents, WIDTH, base, color=colour, label=label)
            middle = base + loss.documents / 2
            _label(axes, number + WIDTH / 2, middle, f" {loss.documents:,}", "left")
            base += loss.documents
    axes.set_xticks(range(len(nodes)), [node.name for node in nodes], fontsize=8)
    axes.set_ylabel("relevant documents")
    axes.set_xlabel(f"left after the last stage: those in the top {record.cutoff}")
    axes.grid(visible=False, axis="x")
    axes.set_xlim(-0.6, len(nodes) - 0.4)
    if drawn:
        # the legend goes above the bars: they fill the rest
        axes.set_ylim(0, record.relevant * 1.2)
        style.legend(axes, loc="upper right", ncols=len(drawn))
    return figure


def _label(axes: Any, x: float, y: float, words: str, side: str) -> None:
    """Write next to a bar: inside a low one there is no room."""
    axes.text(x, y, words, ha=side, va="center", fontsize=9)
