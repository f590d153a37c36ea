"""What people read of a run: a document of sections, written by renderers; pictures; exports.

All of it reads records, never a model.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bench.records.run import Run

if TYPE_CHECKING:
    from rich.console import Console

    from bench.reports.view import View


def write(run: Run, on_failure: Callable[[str], None] | None = None) -> list[Path]:
    """Build every report of a run from its records alone. Returns the files written, the most
    useful first.

    `on_failure` is called with a line for each picture that cannot be drawn, which stops nothing
    else; report.md has the line too. Raises BenchError for it without one.
    """
    from bench.core.atomic import write_atomically
    from bench.reports import plots
    from bench.reports.view import View

    page, comment = run.folder / "report.html", run.folder / "report.md"
    failures: list[str] = []
    pictures: list[Path] = []
    # what both reports show is computed once; the second one sees what is drawn until then
    view = View(run, pictures, failures)
    write_atomically(page, _html(view).encode("utf-8", "replace"))

    def fail(line: str) -> None:
        failures.append(line)
        (on_failure or plots.fail)(line)

    for kind in ("pareto", "depth", "sweep", "learning"):
        pictures += plots.write(run, kind, on_failure=fail)
    write_atomically(comment, _markdown(view).encode("utf-8", "replace"))
    return [page, comment, *pictures]


def show(run: Run, console: Console) -> None:
    """Print the tables of a run, and what to know about them."""
    from bench.reports.renderers import terminal
    from bench.reports.sections import document

    terminal.show(document(run, "terminal"), console, titled=False)


def html(run: Run) -> str:
    """Return report.html."""
    from bench.reports.view import View

    return _html(View(run))


def markdown(run: Run, pictures: Sequence[Path] = (), failures: Sequence[str] = ()) -> str:
    """Return report.md; it names the pictures drawn of the run, and has a line for each that could
    not be drawn.
    """
    from bench.reports.view import View

    return _markdown(View(run, pictures, failures))


def _html(view: View) -> str:
    from bench.reports.renderers.html import render
    from bench.reports.sections import document_of

    return render(document_of(view, "page"))


def _markdown(view: View) -> str:
    from bench.reports.renderers.markdown import render
    from bench.reports.sections import document_of

    return render(document_of(view, "comment"))
