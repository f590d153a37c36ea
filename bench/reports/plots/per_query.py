"""Wins and losses query by query: an average hides who pays for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bench.contract.trial import FIRST_STAGE
from bench.core.counting import counted
from bench.records.rows import headline_of
from bench.records.run import Run
from bench.reports.plots import Picture, style

WIN, LOSS = "#0072B2", "#D55E00"


def draw(run: Run) -> Iterator[Picture]:
    """A picture per reranker: each query's difference to the first stage, from the largest loss to
    the largest win.
    """
    for group, members in run.groups.items():
        measure = headline_of(members)
        measured = [row for row in members if measure in row.quality]
        base = next((row for row in measured if row.name == FIRST_STAGE), None)
        for row in measured:
            if base is not None and row.trial.kind == "reranker":
                before = run.values(base.trial.id, measure)
                after = run.values(row.trial.id, measure)
                changes = sorted(after[query] - before[query] for query in before if query in after)
                name = row.name if row.trial.device == "-" else f"{row.name}-{row.trial.device}"
                title = f"{row.name} against the first stage, {group[0]}, {group[1]}"
                yield Picture.of("per-query", group, _figure(changes, measure, title), name)


def _figure(changes: list[float], measure: str, title: str) -> Any:
    figure, axes = style.new_figure(title, height=3.4)
    axes.bar(
        range(len(changes)),
        changes,
        width=1.0,
        color=[LOSS if change < 0 else WIN for change in changes],
        linewidth=0,
    )
    axes.axhline(0, color="black", linewidth=0.8)
    mean = sum(changes) / len(changes) if changes else 0.0
    axes.axhline(mean, color="black", linewidth=1, linestyle="--", label=f"mean {mean:+.3f}")
    losses, wins = sum(change < 0 for change in changes), sum(change > 0 for change in changes)
    axes.set_xlabel(
        f"{counted(len(changes), 'query')}: {losses} fell, {len(changes) - losses - wins} "
        f"stayed, {wins} rose"
    )
    axes.set_ylabel(f"change in {measure}")
    axes.set_xlim(-0.5, len(changes) - 0.5)
    axes.set_xticks([])
    axes.grid(visible=False, axis="x")
    style.legend(axes)
    return figure
