"""Pictures of a run, drawn from its records. matplotlib is imported in this folder only, when a
picture is drawn.

A new kind is one file with `draw(run) -> Iterator[Picture]` and one line in the table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from bench.core.atomic import write_atomically
from bench.core.errors import BenchError, first_line
from bench.core.filenames import file_stem
from bench.core.plugins import resolve
from bench.core.redaction import redacted_text
from bench.records.rows import GroupKey
from bench.records.run import Run
from bench.reports.judges import judge_lines

KINDS: dict[str, str] = {
    "pareto": "bench.reports.plots.tradeoff:draw",
    "depth": "bench.reports.plots.depth:draw",
    "latency": "bench.reports.plots.latency:draw",
    "sweep": "bench.reports.plots.sweep:draw",
    "per-query": "bench.reports.plots.per_query:draw",
    "flow": "bench.reports.plots.flow:draw",
    "learning": "bench.reports.plots.learning:draw",
}
FORMATS = ("png", "svg", "pdf")
NEEDS_TIMES = ("pareto", "latency", "sweep")
LACKING: dict[str, str] = {
    "pareto": "no reranker of this run has both a quality and a time of one query",
    "depth": "no quality of this run is known at two depths",
    "latency": "no reranker of this run was timed with one query in flight on this machine",
    "sweep": "no reranker of this run was timed at two depths and two batch sizes; "
    "write a `sweep` under `latency` in its suite",
    "per-query": "no reranker of this run has values next to those of the first stage",
    "flow": "no pipeline of this run says which relevant documents it lost",
    "learning": "no recipe of this run was trained on two shares of its queries",
}
"""What a run has not that holds nothing for a kind of picture."""


@dataclass(frozen=True)
class Picture:
    """A matplotlib figure of one group of trials. `name` is the file's, without its ending."""

    name: str
    group: GroupKey
    figure: Any

    def _repr_png_(self) -> bytes:
        """Return what a notebook shows."""
        from bench.reports.plots import style

        return style.image(self.figure, "png")

    @classmethod
    def of(cls, kind: str, group: GroupKey, figure: Any, more: str = "") -> Picture:
        dataset, first_stage, _ = group
        parts = [kind, dataset, first_stage]
        if more:
            parts.append(more)
        return cls(file_stem("-".join(parts)), group, figure)


@dataclass(frozen=True)
class Drawing:
    """A figure about a dataset, which is drawn when its file is written. `name` tells this from
    the files of others.
    """

    name: str
    dataset: str
    figure: Callable[[], Any]


def write_each(run: Run, drawings: Sequence[Drawing], path: Path) -> Iterator[Path]:
    """Draw into a file, or into one next to it for each where there are several, and yield the
    files. Raises BenchError where the file's ending is no format of pictures.
    """
    from bench.reports.plots import style

    form = path.suffix.removeprefix(".")
    if form not in FORMATS:
        raise BenchError(f"--plot {path}: give a name that ends in .{', .'.join(FORMATS)}")
    for drawing in drawings:
        own = path
        if len(drawings) > 1:
            own = path.with_stem(file_stem(f"{path.stem}-{drawing.name}"))
        figure = drawing.figure()
        style.add_lines(figure, judge_lines(run, dataset=drawing.dataset))
        write_atomically(own, style.image(figure, form))
        yield own


def fail(line: str) -> None:
    """Raise BenchError with the line: what a picture that cannot be drawn means to who draws it
    alone.
    """
    raise BenchError(line)


def write(
    run: Run,
    kind: str,
    out: Path | None = None,
    form: str = "png",
    on_failure: Callable[[str], None] = fail,
) -> list[Path]:
    """Draw one kind of picture of every group that has what it shows, into `out` or the run's
    folder. Returns the files.

    `on_failure` is called with a line for each picture that cannot be drawn, and stops no other.
    """
    from bench.reports.plots import style

    written = []
    for picture in _drawn(run, kind, on_failure):
        path = (out or run.folder) / f"{picture.name}.{form}"
        try:
            write_atomically(path, style.image(picture.figure, form))
        except Exception as error:
            on_failure(_failure(path.name, error))
        else:
            written.append(path)
    return written


def _drawn(run: Run, kind: str, on_failure: Callable[[str], None]) -> Iterator[Picture]:
    try:
        yield from draw(run, kind)
    except BenchError:
        raise
    except Exception as error:
        on_failure(_failure(f"pictures of kind {kind}", error))


def _failure(name: str, error: Exception) -> str:
    return redacted_text(f"{name} could not be drawn: {first_line(error)}")


def draw(run: Run, kind: str) -> Iterator[Picture]:
    """Return the pictures of one kind, a group after the other. Raises SuiteError for an unknown
    kind.
    """
    pictures: Iterator[Picture] = resolve(kind, KINDS, "kind of plot")(run)
    return map(partial(_marked, run), pictures)


def _marked(run: Run, picture: Picture) -> Picture:
    """Say below a picture that a model has judged its dataset, where one has."""
    from bench.reports.plots import style

    style.add_lines(picture.figure, judge_lines(run, dataset=picture.group[0]))
    return picture
