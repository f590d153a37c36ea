"""The parts of a run's report. A new one is a file with a function from a view of the run to a
`Section` (None where there is nothing to show), and a line in the table.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from bench.core.plugins import resolve
from bench.records.run import Run
from bench.reports.document import Code, Document, Inline, Section, Strong
from bench.reports.judges import marked
from bench.reports.view import View

Place = Literal["terminal", "comment", "page"]
"""Where a report is read: in a terminal, as Markdown in a merge request, as an HTML page."""
EVERYWHERE: frozenset[Place] = frozenset({"terminal", "comment", "page"})
TEXT: frozenset[Place] = frozenset({"terminal", "comment"})
DOCUMENTS: frozenset[Place] = frozenset({"comment", "page"})
TERMINAL: frozenset[Place] = frozenset({"terminal"})
COMMENT: frozenset[Place] = frozenset({"comment"})
PAGE: frozenset[Place] = frozenset({"page"})


@dataclass(frozen=True)
class Entry:
    """A section as "module:function", and where it is read."""

    function: str
    places: frozenset[Place] = EVERYWHERE


SECTIONS: dict[str, Entry] = {
    "unfinished": Entry("bench.reports.sections.unfinished:unfinished", TEXT),
    "verdict": Entry("bench.reports.sections.verdict:verdict", DOCUMENTS),
    "missing": Entry("bench.reports.sections.verdict:missing", PAGE),
    "overview": Entry("bench.reports.sections.overview:overview"),
    "results": Entry("bench.reports.sections.results:results"),
    "reading": Entry("bench.reports.sections.reading:reading", COMMENT),
    "legend": Entry("bench.reports.sections.reading:legend", PAGE),
    "worth": Entry("bench.reports.sections.worth:worth", DOCUMENTS),
    "slices": Entry("bench.reports.sections.slices:slices", DOCUMENTS),
    "orders": Entry("bench.reports.sections.orders:orders"),
    "agreement": Entry("bench.reports.sections.agreement:agreement"),
    "score-measures": Entry("bench.reports.sections.score_measures:errors_of_scores"),
    "calibrated-fusions": Entry("bench.reports.sections.calibrated_fusions:fusions"),
    "stages": Entry("bench.reports.sections.stages:stages"),
    "losses": Entry("bench.reports.sections.losses:losses", DOCUMENTS),
    "blame": Entry("bench.reports.sections.losses:blame", TERMINAL),
    "flow": Entry("bench.reports.sections.losses:flows", PAGE),
    "learned": Entry("bench.reports.sections.learned:learned"),
    "learning-curves": Entry("bench.reports.sections.learning_curves:learning_curves"),
    "indexes": Entry("bench.reports.sections.indexes:indexes"),
    "tradeoff": Entry("bench.reports.sections.tradeoff:tradeoff", PAGE),
    "depth": Entry("bench.reports.sections.depth:depth", PAGE),
    "latency": Entry("bench.reports.sections.latency:latency"),
    "parts": Entry("bench.reports.sections.latency:parts"),
    "latency-only": Entry("bench.reports.sections.latency_only:latency_only"),
    "sweep": Entry("bench.reports.sections.sweep:sweep", DOCUMENTS),
    "scores": Entry("bench.reports.sections.scores:scores", PAGE),
    "pictures": Entry("bench.reports.sections.pictures:pictures", COMMENT),
    "queries": Entry("bench.reports.sections.queries:queries", PAGE),
    "probes": Entry("bench.reports.sections.probed:probed"),
    "notes": Entry("bench.reports.sections.notes:notes", TEXT),
    "environment": Entry("bench.reports.sections.environment:environment", DOCUMENTS),
    "keys": Entry("bench.reports.sections.environment:keys", PAGE),
    "reproduce": Entry("bench.reports.sections.environment:reproduce", DOCUMENTS),
    "suite": Entry("bench.reports.sections.environment:suite", PAGE),
    "glossary": Entry("bench.reports.sections.glossary:glossary", PAGE),
}
"""In the order in which a report shows them."""


def document(run: Run, place: Place = "page") -> Document:
    """Return the report of a run as a place shows it, from its records alone."""
    return document_of(View(run), place)


def document_of(view: View, place: Place) -> Document:
    """Return the same of what is computed of a run once."""
    sections = [_function(name)(view) for name, entry in SECTIONS.items() if place in entry.places]
    info = view.run.info
    meta: list[Inline] = [f"{info.started} · run ", Code(info.id)]
    meta.append(f" · rerank-bench {info.version}")
    if info.status != "done":
        meta += [" · ", Strong("not finished")]
    filled = [section for section in sections if section is not None]
    return marked(Document(info.suite, filled, info.description, tuple(meta)), view.run)


def _function(name: str) -> Callable[[View], Section | None]:
    functions = {key: entry.function for key, entry in SECTIONS.items()}
    function: Callable[[View], Section | None] = resolve(name, functions, "section of a report")
    return function
