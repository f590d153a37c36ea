"""What people read of a run: tables, Markdown, plots. All of it reads records, never a model."""

from __future__ import annotations

from pathlib import Path

from bench.records.store import Run


def write(run: Run) -> list[Path]:
    """Build every report of a run from its records alone. Returns the files written, the most useful first."""
    from bench.atomic import write_atomically
    from bench.reports import markdown, plots

    pictures = [picture for kind in ("pareto", "depth") for picture in plots.write(run, kind)]
    page = run.folder / "report.md"
    write_atomically(page, markdown.report(run, pictures).encode("utf-8"))
    return [page, *(path for _, path in pictures)]
