"""That a run is not finished, before anything that is read of it."""

from __future__ import annotations

from bench.core.counting import counted
from bench.reports.document import Paragraph, Section, Strong
from bench.reports.view import View


def unfinished(view: View) -> Section | None:
    """Return how much of a run that is not finished there is; None where it is."""
    info = view.run.info
    if info.status == "done":
        return None
    ended = sum(status.status != "pending" for status in info.trials)
    progress = f" {ended} of {counted(len(info.trials), 'row')} ended."
    more = " To go on with it, run its suite again."
    words = (Strong("This run is not finished:"), progress, more)
    return Section("unfinished", "Not finished", [Paragraph(words)], titled=False)
