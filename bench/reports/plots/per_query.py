"""Wins and losses query by query: an average hides who pays for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from bench.core.counting import counted
from bench.records.rows import headline_of
from bench.records.run import Run
from bench.reports.names import device_of
from bench.reports.plots import Picture, style

WIN, LOSS = "#0072B2", "#D55E00"


def draw(run: Run) -> Iterator[Picture]:
    """Yield a picture per reranker: each query's difference to the first stage, from the largest
    loss to the largest win.
    """
    for group, members in run.groups.items():
        measure = headline_of(members)
        measured = [row for row in members if measure in row.quality]
        bases = [row for row in measured if row.trial.is_first_stage]
        if not bases:
            continue
        before = run.values(bases[0].trial.id, measure)
        for row in measured:
            if row.trial.kind == "reranker":
                after = run.values(row.trial.id, measure)
                changes = sorted(after[query] - before[query] for query in before if query in after)
                parts = [row.name, device_of(row.trial)]
                name = "-".join(part for part in parts if part)
                title = f"{row.name} against the first stage, {group[0]}, {group[1]}"
                yield Picture.of("per-query", group, _figure(changes, measure, title), name)


def _figure(changes: Sequence[float], measure: str, title: str) -> Any:
    figure, axes = style.new_figure(title, height=3.4)
    losses = [change for change in changes if change < 0]
    wins = [change for change in changes if change > 0]
    unchanged = len(changes) - len(losses) - len(wins)
    # The changes are sorted: losses are the first ones.
    colours = [LOSS] * len(losses) + [WIN] * (unchanged + len(wins))
    axes.bar(range(len(changes)), changes, width=1.0, color=colours, linewidth=0)
    axes.axhline(0, color="black", linewidth=0.8)
    mean = sum(changes) / max(1, len(changes))
    axes.axhline(mean, color="black", linewidth=1, linestyle="--", label=f"mean {mean:+.3f}")
    counts = f"{len(losses)} fell, {unchanged} stayed, {len(wins)} rose"
    axes.set_xlabel(f"{counted(len(changes), 'query')}: {counts}")
    axes.set_ylabel(f"change in {measure}")
    axes.set_xlim(-0.5, len(changes) - 0.5)
    axes.set_xticks([])
    axes.grid(visible=False, axis="x")
    style.legend(axes)
    return figure
