"""The rankings are what the scores give under the tie rule, and rank the candidates."""

from __future__ import annotations

from itertools import pairwise

from bench.contract.candidates import QueryCandidates
from bench.ranking.order import Ranking, strictly_falling
from bench.records.tables import SCORES
from bench.verification.evidence import Evidence, TrialEvidence
from bench.verification.finding import Code, Ledger, Place, Reason


def check(evidence: Evidence, ledger: Ledger) -> None:
    for trial in evidence.trials:
        with ledger.reading(trial.ranking_file):
            _check(trial, ledger)


def _check(trial: TrialEvidence, ledger: Ledger) -> None:
    if trial.ranking is None:
        if trial.record.counts.pairs:
            ledger.gap(Reason.NO_RANKING, trial.ranking_file)
        return
    if not trial.scores and trial.record.counts.pairs:
        ledger.gap(Reason.NO_SCORES, trial.file(SCORES))
    for query_id, on_disk in trial.ranking.items():
        _same_documents(trial, query_id, on_disk, ledger)
        answer = trial.answer(query_id)
        if answer is not None:
            _same_order(trial, query_id, on_disk, answer, ledger)
    for query_id in trial.scores:
        if query_id not in trial.ranking:
            ledger.same(Code.QUERY, Place(trial.ranking_file, query_id), True, False)


def _same_documents(
    trial: TrialEvidence, query_id: str, on_disk: QueryCandidates, ledger: Ledger
) -> None:
    candidates = trial.group.candidates
    if candidates is None:
        return
    expected = set(candidates[query_id].doc_ids) if query_id in candidates else set()
    ledger.compared += 1
    for doc_id in sorted(expected ^ set(on_disk.doc_ids)):
        place = Place(trial.ranking_file, query_id, doc_id)
        ledger.same(Code.CANDIDATE, place, doc_id in expected, doc_id not in expected)


def _same_order(
    trial: TrialEvidence, query_id: str, on_disk: QueryCandidates, answer: Ranking, ledger: Ledger
) -> None:
    """Compare the documents that were scored, which come before all others, place by place; then
    their scores.
    """
    ledger.compared += 1
    for number, doc_id in enumerate(answer.doc_ids):
        ranked = on_disk.doc_ids[number] if number < len(on_disk.doc_ids) else None
        if ranked != doc_id:
            place = Place(trial.ranking_file, query_id, ranked or "", key=f"rank {number + 1}")
            ledger.same(Code.ORDER, place, doc_id, ranked)
            return
    scores = list(answer.scores)
    if any(left < right for left, right in pairwise(scores)):
        # a search whose scores contradict its order is ranked by its order
        scores = [float(number) for number in range(len(scores), 0, -1)]
    for doc_id, expected, score in zip(
        answer.doc_ids, strictly_falling(scores), on_disk.scores, strict=False
    ):
        place = Place(trial.file(SCORES), query_id, doc_id)
        ledger.same(Code.SCORE, place, score, expected)
