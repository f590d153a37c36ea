"""Reliability curves of a row: what was predicted against the share that is relevant, and how many
documents each point is of.
"""

from __future__ import annotations

from typing import Any

from bench.meaning.calibrate import RowCalibration
from bench.reports.plots import style

SIZE = 60.0
"""Points² of the largest marker."""


def figure(row: RowCalibration) -> Any:
    """Return a figure of a row's scores as they are and through each map."""
    reading = row.readings[0]
    title = f"{row.table.row.trial.dataset}, {row.table.name}: reliability"
    picture, axes = style.new_figure(title, height=5.2)
    axes.plot([0, 1], [0, 1], color=style.GREY, linestyle="--", linewidth=1)
    markers = list(style.MARKERS.values())
    drawn = [each for each in reading.all if each.curve is not None]
    for number, each in enumerate(drawn):
        curve = each.curve
        assert curve is not None
        colour = style.COLOURS[number % len(style.COLOURS)]
        axes.plot(curve.predicted, curve.observed, color=colour, linewidth=1)
        skill, ece = (each.errors[name].value for name in ("brier_skill", "ece_mass"))
        label = f"{each.name}: ECE {_text(ece)}, Brier skill {_text(skill)}"
        sizes = SIZE * (curve.documents / curve.documents.max()) ** 0.5
        axes.scatter(
            curve.predicted,
            curve.observed,
            sizes,
            color=colour,
            marker=markers[number % len(markers)],
            label=label,
            alpha=0.85,
        )
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
    axes.set_xlabel("predicted probability of relevance, mean of ten bins of equal size")
    axes.set_ylabel("share of relevant documents")
    style.legend(axes, loc="upper left")
    return picture


def _text(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.3f}"
