"""What the page's columns and words mean."""

from __future__ import annotations

from collections.abc import Iterable

from bench.quality.measures import JUDGED, MEASURES
from bench.reports.html.table import MEANINGS

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
    "more. They need not be equal.",
    "withheld": "A percentile is shown once the largest sample is above it with 95 % confidence: "
    "p95 from 59 queries, p99 from 299.",
    "movement": "Ranks won (↑) or lost (↓) between the first stage and the reranker.",
    "quality key, system key, speed key": "Hashes over what must agree before two numbers are "
    "compared: the same questions and candidates; "
    "the same reranker; the same hardware and settings.",
}


def glossary(measures: Iterable[str]) -> dict[str, str]:
    """Terms in the order in which the page uses them, the measures of this run first."""
    found = {
        name: f"{_sentence(MEASURES[stem])}"
        for name in measures
        if name != JUDGED and (stem := name.split("@")[0].split("(")[0]) in MEASURES
    }
    columns = {name: _sentence(meaning) for name, meaning in MEANINGS.items()}
    columns[JUDGED] += (
        " An unjudged document counts as not relevant: where few are judged, a good reranker can "
        "look bad."
    )
    return {**found, **TERMS, **columns}


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."
