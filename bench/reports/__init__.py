"""What people read of a run: tables, Markdown, HTML, plots. All of it reads records, never a
model.
"""

from __future__ import annotations

from pathlib import Path

from bench.records.run import Run


def write(run: Run) -> list[Path]:
    """Build every report of a run from its records alone. Returns the files written, the most
    useful first.
    """
    from bench.core.atomic import write_atomically
    from bench.reports import html, markdown, plots

    page, comment = run.folder / "report.html", run.folder / "report.md"
    write_atomically(page, html.report(run).encode("utf-8", "replace"))
    pictures = [
        picture for kind in ("pareto", "depth", "sweep") for picture in plots.write(run, kind)
    ]
    write_atomically(comment, markdown.report(run, pictures).encode("utf-8", "replace"))
    return [page, comment, *(path for _, path in pictures)]
