"""The oracle's order is the best one: by grade, then as the first stage had the documents."""

from __future__ import annotations

from bench.verification.evidence import Evidence, TrialEvidence
from bench.verification.finding import Code, Ledger, Place, Reason


def check(evidence: Evidence, ledger: Ledger) -> None:
    for trial in evidence.trials:
        if trial.record.trial.is_oracle:
            with ledger.reading(trial.ranking_file):
                _check(trial, ledger)


def _check(trial: TrialEvidence, ledger: Ledger) -> None:
    group = trial.group
    if group.candidates is None or not group.qrels or trial.ranking is None:
        ledger.gap(Reason.NO_CANDIDATES, trial.ranking_file)
        return
    for query_id, candidates in group.candidates.items():
        grades = group.qrels.get(query_id, {})
        best = sorted(candidates.doc_ids, key=lambda doc_id: -grades.get(doc_id, 0))
        order = trial.ranking.get(query_id)
        ranked = order.doc_ids if order is not None else ()
        ledger.compared += 1
        for number, (expected, actual) in enumerate(zip(best, ranked, strict=False), 1):
            if expected != actual:
                place = Place(trial.ranking_file, query_id, actual, key=f"rank {number}")
                ledger.same(Code.BEST_ORDER, place, expected, actual)
                break
