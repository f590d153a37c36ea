"""How to read the tables."""

from __future__ import annotations

from bench.reports.document import Chip, Paragraph, Section
from bench.reports.sections.results import COST, DELTA, FAILED
from bench.reports.view import View

TITLE = "How to read this"
EXPLANATION = (
    "Brackets are 95 % bootstrap intervals over queries. "
    f"{DELTA} is the paired difference to the first stage, p its permutation test (two-sided). "
    "first-stage is the candidates' own order, oracle the best order these candidates allow."
)
TIMES = (
    " Latency is one query in flight, from raw strings to sorted scores; p95 is withheld below 59 "
    "queries; ms/pair is amortised (per query / candidates). Parts are taken in calls of their "
    "own: they need not add up to p50."
)
PIPELINES = (
    " The times of a pipeline have its search in them, those of a reranker have not: to compare "
    "them, add the row first-stage, which latency: {first_stages: true} times."
)
FAILURES = f" {FAILED} is the share of queries whose call failed: they score 0."
COSTS = (
    f" {COST} is what the scores cost when they were bought, cached ones included, at the price "
    "that the record names."
)
LEGEND = (
    Chip("▲", "mark better"),
    " better and ",
    Chip("▼", "mark worse"),
    " worse than the first stage, significant at 5 % after Holm's correction; ",
    Chip("≈", "mark same"),
    " no difference shown.",
)


def reading(view: View) -> Section:
    """Return what the columns mean."""
    return Section("reading", TITLE, [Paragraph((_text(view),), quiet=True)], folded=True)


def legend(view: View) -> Section:
    """Return what the columns and the page's signs mean."""
    blocks = [Paragraph(LEGEND, quiet=True), Paragraph((_text(view),), quiet=True)]
    return Section("reading", TITLE, blocks)


def _text(view: View) -> str:
    text = EXPLANATION
    if any(row.latency for row in view.rows):
        text += TIMES
        if any(row.latency and row.stages for row in view.rows):
            text += PIPELINES
    if any(row.failed for row in view.rows):
        text += FAILURES
    if any(row.cost for row in view.rows):
        text += COSTS
    return text
