"""What holds of several tables, and of the run: once, below all tables."""

from __future__ import annotations

from bench.core.wording import sentences
from bench.reports.document import Bullets, Section
from bench.reports.sections.results import shared_notes
from bench.reports.view import View


def notes(view: View) -> Section | None:
    """Return the notes that several tables share, and the run's warnings."""
    shared = shared_notes(view)
    lines = [f"{text} (in {count} tables)" for text, count in shared.items()]
    lines += sentences(view.run.info.warnings)
    has_stages = any(row.stages for row in view.rows)
    if view.shared_pairs is not None and not has_stages:
        lines += sentences([view.shared_pairs])
    if not lines:
        return None
    bullets = Bullets([(line,) for line in lines])
    return Section("notes", "Notes", [bullets])
