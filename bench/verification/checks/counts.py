"""The counts of queries, documents, ties and failures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.ranking.order import count_ties
from bench.records.judges import is_unjudged
from bench.records.schema import FAILURES
from bench.verification.evidence import Evidence, TrialEvidence
from bench.verification.finding import Code, Ledger, Place


def check(evidence: Evidence, ledger: Ledger) -> None:
    for trial in evidence.trials:
        with ledger.reading(trial.ranking_file):
            expected = {**_queries(trial), **_documents(trial), **_failures(trial)}
            counts: Mapping[str, Any] = trial.record.counts.model_dump()
            written = {**{f"counts.{name}": count for name, count in counts.items()}}
            written["failures"] = len(trial.record.failures)
            written["scores"] = sum(trial.record.scores.values())
            if trial.record.pairs is not None:
                written["pairs"] = trial.record.pairs.computed + trial.record.pairs.cached
            for key, count in expected.items():
                if key in written:
                    place = Place(trial.record_file, key=key)
                    ledger.same(Code.COUNT, place, count, written[key])


def _queries(trial: TrialEvidence) -> dict[str, int]:
    group = trial.group
    if is_unjudged(trial.record):
        # every query is ranked, and none has a value to count
        return {}
    expected = {"counts.queries": len(group.query_ids)}
    facts: Mapping[str, Any] = trial.record.dataset
    if "queries" in facts:
        expected["counts.unjudged_queries"] = facts["queries"] - len(group.query_ids)
    if group.qrels:
        relevant = 0
        for query_id in group.query_ids:
            grades = group.qrels.get(query_id, {}).values()
            relevant += any(grade >= group.min_relevance for grade in grades)
        expected["counts.without_relevant"] = len(group.query_ids) - relevant
    if group.candidates is not None:
        called = sum(bool(own.doc_ids) for own in group.candidates.values())
        expected["counts.without_candidates"] = len(group.query_ids) - called
    return expected


def _documents(trial: TrialEvidence) -> dict[str, int]:
    expected: dict[str, int] = {}
    ranking = trial.ranking
    if ranking is not None:
        expected["counts.pairs"] = sum(len(order.doc_ids) for order in ranking.values())
    if trial.scores and not trial.is_search:
        expected["counts.ties"] = sum(
            count_ties(sorted(own.scores, reverse=True)) for own in trial.scores.values()
        )
    return expected


def _failures(trial: TrialEvidence) -> dict[str, int]:
    candidates, ranking = trial.group.candidates, trial.ranking
    if candidates is None or ranking is None:
        return {}
    failed = len(candidates) - len(ranking)
    expected = {"counts.failed": failed, "failures": min(FAILURES, failed)}
    facts: Mapping[str, Any] = trial.record.description.get("facts") or {}
    if not trial.record.stages and not facts.get("parts"):
        expected["scores"] = len(ranking)
        expected["pairs"] = sum(len(order.doc_ids) for order in ranking.values())
    return expected
