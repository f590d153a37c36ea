"""Learning curves: what training gains over its base, against the labelled queries."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bench.comparison.learning_curves import LearningCurve, learning_curves
from bench.records.run import Run
from bench.reports.names import name_of
from bench.reports.plots import Picture, style


def draw(run: Run) -> Iterator[Picture]:
    """Yield a picture per recipe that was trained on several shares of its queries."""
    for curve in learning_curves(run):
        yield Picture.of("learning-curve", curve.group, _figure(curve), curve.recipe)


def _figure(curve: LearningCurve) -> Any:
    dataset, first_stage, _ = curve.group
    figure, axes = style.new_figure(f"{curve.recipe} on {dataset}, {first_stage}")
    counts = [share.queries for share in curve.shares]
    gains = [share.gain for share in curve.shares]
    below = [gain.mean - gain.low for gain in gains]
    above = [gain.high - gain.mean for gain in gains]
    axes.axhline(0, color=style.GREY, linewidth=1, linestyle=":")
    axes.errorbar(
        counts,
        [gain.mean for gain in gains],
        yerr=[below, above],
        color=style.COLOURS[0],
        marker="o",
        markersize=5,
        linewidth=1.3,
        capsize=3,
    )
    axes.set_xscale("log")
    axes.set_xticks(counts, [str(count) for count in counts])
    axes.minorticks_off()
    axes.set_xlabel("labelled queries")
    axes.set_ylabel(f"gain in {curve.measure} over {name_of(curve.base.trial)}")
    return figure
