"""Where the pictures of a run are."""

from __future__ import annotations

from bench.reports.document import Bullets, Code, Section, Words
from bench.reports.view import View

TITLES = {
    "tradeoff": "quality against latency",
    "depth": "quality against the candidates reranked",
    "sweep": "latency by candidates and batch size",
    "flow": "where relevant documents are lost",
    "learning": "gain against labelled queries",
}


def pictures(view: View) -> Section | None:
    """Return the files drawn of the run, and which could not be drawn. A comment names them: it has
    no files, and would show broken pictures.
    """
    items: list[Words] = []
    for path in view.pictures:
        title = TITLES.get(path.name.partition("-")[0], path.suffix)
        items.append((Code(path.name), f" ({title})"))
    items += [(line,) for line in view.failures]
    if not items:
        return None
    title = "Pictures, in the run's folder"
    return Section("pictures", title, [Bullets(items)], folded=True)
