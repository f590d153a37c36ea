"""Pictures of a run, drawn from its records. matplotlib is imported in this folder only, when a
picture is drawn.

A new kind is one file with `draw(run) -> Iterator[Picture]` and one line in the table.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.core.atomic import write_atomically
from bench.core.filenames import file_stem
from bench.core.plugins import resolve
from bench.records.rows import GroupKey
from bench.records.run import Run

KINDS: dict[str, str] = {
    "pareto": "bench.reports.plots.tradeoff:draw",
    "depth": "bench.reports.plots.depth:draw",
    "latency": "bench.reports.plots.latency:draw",
    "sweep": "bench.reports.plots.sweep:draw",
    "per-query": "bench.reports.plots.per_query:draw",
}
FORMATS = ("png", "svg", "pdf")


@dataclass(frozen=True)
class Picture:
    """A matplotlib figure of one group of trials. `name` is the file's, without its ending."""

    name: str
    group: GroupKey
    figure: Any

    def _repr_png_(self) -> bytes:
        """What a notebook shows."""
        from bench.reports.plots import style

        return style.image(self.figure, "png")

    @classmethod
    def of(cls, kind: str, group: GroupKey, figure: Any, more: str = "") -> Picture:
        dataset, first_stage, _ = group
        told = "-".join([kind, dataset, first_stage, *([more] if more else [])])
        return cls(file_stem(told), group, figure)


def write(
    run: Run, kind: str, out: Path | None = None, form: str = "png"
) -> list[tuple[GroupKey, Path]]:
    """Draw one kind of picture of every group that has what it shows, into `out` or the run's
    folder. Returns groups and files.
    """
    from bench.reports.plots import style

    written = []
    for picture in draw(run, kind):
        path = (out or run.folder) / f"{picture.name}.{form}"
        write_atomically(path, style.image(picture.figure, form))
        written.append((picture.group, path))
    return written


def draw(run: Run, kind: str) -> Iterator[Picture]:
    """The pictures of one kind, a group after the other. Raises SuiteError for an unknown kind."""
    pictures: Iterator[Picture] = resolve(kind, KINDS, "kind of plot")(run)
    return pictures


def pareto(points: Sequence[tuple[float, float]]) -> list[int]:
    """Indices of the points that no other beats on both counts: (cost, lower is better; quality,
    higher is better), by rising cost.
    """
    front: list[int] = []
    best = float("-inf")
    for i in sorted(range(len(points)), key=lambda i: (points[i][0], -points[i][1])):
        if points[i][1] > best:
            front.append(i)
            best = points[i][1]
    return front
