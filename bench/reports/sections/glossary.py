"""What the page's columns and words mean."""

from __future__ import annotations

from collections.abc import Iterable

from bench.quality.measures import JUDGED, MEASURES
from bench.reports.document import Facts, Section
from bench.reports.sections.results import MEANINGS
from bench.reports.view import View

TERMS = {
    "first-stage": "The candidates in the order in which the first stage gave them: what a "
    "reranker has to beat.",
    "oracle": "The best order of these very candidates: no reranker can do better. A first stage "
    "with poor recall caps everything.",
    "95 % interval": "Percentile bootstrap over queries, 10,000 seeded resamples; of latencies, "
    "whole queries with all rounds are drawn.",
    "significant": "The permutation test of the paired differences has p below .05 after Holm's "
    "correction for the table's rerankers.",
    "tie": "Rerankers that these queries cannot tell apart from the best: corrected p of .05 or "
    "more. They need not be equal. Where too few queries move for any such test, none is named.",
    "withheld": "A percentile is shown once the largest sample is above it with 95 % confidence: "
    "p95 from 59 queries, p99 from 299.",
    "movement": "Ranks won (↑) or lost (↓) between the first stage and the reranker.",
    "quality key, system key, speed key": "Hashes over what must agree before two numbers are "
    "compared: the same questions and candidates; "
    "the same reranker; the same hardware and settings.",
}


def glossary(view: View) -> Section:
    """Return the terms in the order in which the page uses them, the measures of this run first."""
    names: dict[str, None] = {}
    for record in view.run.records.values():
        names |= dict.fromkeys(record.quality)
    columns = {name: _sentence(meaning) for name, meaning in MEANINGS.items()}
    columns[JUDGED] += (
        " An unjudged document counts as not relevant: where few are judged, a good reranker can "
        "look bad."
    )
    facts = Facts({**_measures(names), **TERMS, **columns}, "glossary")
    return Section("glossary", "Glossary", [facts])


def _measures(names: Iterable[str]) -> dict[str, str]:
    meanings = {}
    for name in names:
        stem = name.split("@")[0].split("(")[0]
        if name != JUDGED and stem in MEASURES:
            meanings[name] = _sentence(MEASURES[stem])
    return meanings


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."
