"""How a document is written. A new renderer is a file with `render(document) -> str` and a line in
the table.
"""

from __future__ import annotations

from bench.core.plugins import resolve
from bench.reports.document import Document

RENDERERS: dict[str, str] = {
    "table": "bench.reports.renderers.terminal:render",
    "markdown": "bench.reports.renderers.markdown:render",
    "html": "bench.reports.renderers.html:render",
    "json": "bench.reports.renderers.json:render",
    "csv": "bench.reports.renderers.csv:render",
    "latex": "bench.reports.renderers.latex:render",
    "junit": "bench.reports.renderers.junit:render",
    "github": "bench.reports.renderers.github:render",
}


def render(document: Document, form: str) -> str:
    """Return a document in one of the formats of RENDERERS."""
    text: str = resolve(form, RENDERERS, "format")(document)
    return text
