"""What became of a pipeline's candidates stage by stage: the quality of each order, what each stage
hands on, what it loses.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from bench.quality import measures, statistics
from bench.ranking.order import Ranking
from bench.records.schema import FAILED_LIMIT, StageRecord
from bench.records.tables import STAGES
from bench.verification.evidence import Evidence, TrialEvidence
from bench.verification.finding import Code, Ledger, Place, Reason


class After(NamedTuple):
    """The orders after a stage, by query, and how many documents of each are handed on."""

    orders: Mapping[str, Sequence[str]]
    handed_on: Mapping[str, int]


def check(evidence: Evidence, ledger: Ledger) -> None:
    for trial in evidence.trials:
        if len(trial.record.stages) > 1:
            with ledger.reading(trial.file(STAGES)):
                _check(trial, ledger)


def _check(trial: TrialEvidence, ledger: Ledger) -> None:
    stages = stages_of(trial)
    if stages is None:
        ledger.gap(Reason.NO_STAGES, trial.file(STAGES))
        return
    before: Mapping[str, tuple[int, int]] = {}
    for number, (after, record) in enumerate(zip(stages, trial.record.stages, strict=True)):
        key = f"stages.{number}"
        _quality(trial, record, after, key, ledger)
        handed_on = _relevant(trial, after)
        _recall(trial, record, handed_on, before, key, ledger)
        before = handed_on


def stages_of(trial: TrialEvidence) -> list[After] | None:
    """Return what stands after each stage of a pipeline, the search first; None where the folder
    does not hold it.
    """
    candidates = trial.group.candidates
    if candidates is None or not trial.scores or not trial.group.qrels:
        return None
    records = trial.record.stages
    if len(records) > 2 and not trial.stage_scores:
        return None
    orders: list[dict[str, Sequence[str]]] = [{} for _ in records]
    for query_id, own in candidates.items():
        orders[0][query_id] = own.doc_ids
        between = trial.stage_orders(query_id)
        for number, order in enumerate(between, 1):
            orders[number][query_id] = order
        if len(between) == len(records) - 2 and query_id in trial.orders:
            orders[-1][query_id] = trial.orders[query_id].doc_ids
    stages: list[After] = []
    for number, record in enumerate(records):
        handed_on = {
            query_id: _handed_on(trial, number, record, query_id, len(order))
            for query_id, order in orders[number].items()
        }
        stages.append(After(orders[number], handed_on))
    return stages


def _handed_on(
    trial: TrialEvidence, number: int, record: StageRecord, query_id: str, documents: int
) -> int:
    """Return how many documents of a query a stage hands on: what the next one scored, else as many
    as it keeps.
    """
    following = _scored(trial, number + 1, query_id)
    if following is not None:
        return following
    own = _scored(trial, number, query_id)
    counts = [documents, record.keep]
    if own is not None:
        counts.append(own)
    return min(counts)


def _scored(trial: TrialEvidence, number: int, query_id: str) -> int | None:
    """Return how many documents of a query a stage scored; None where it did not answer it."""
    last = len(trial.record.stages) - 1
    if number in (0, last + 1):
        return None
    answers = trial.scores if number == last else trial.stage_scores.get(number, {})
    answer = answers.get(query_id)
    if answer is None:
        return None
    return len(answer.doc_ids)


def _quality(
    trial: TrialEvidence, record: StageRecord, after: After, key: str, ledger: Ledger
) -> None:
    group = trial.group
    failed = len(group.candidates or {}) - len(after.orders)
    if failed > FAILED_LIMIT * len(group.query_ids):
        place = Place(trial.record_file, key=f"{key}.quality")
        ledger.same(Code.STAGE, place, 0, len(record.quality))
        return
    rankings = {query_id: _ranking(order) for query_id, order in after.orders.items()}
    qrels = {query_id: group.qrels.get(query_id, {}) for query_id in group.query_ids}
    values = measures.evaluate(rankings, qrels, list(record.quality), group.min_relevance)
    for measure, recorded in record.quality.items():
        own = list(values[measure].values())
        place = Place(trial.record_file, key=f"{key}.quality.{measure}")
        expected = statistics.estimate(own, group.evidence.run.seed)
        ledger.near(Code.STAGE, place, expected.mean, recorded.mean)
        ledger.near(Code.STAGE, place, expected.low, recorded.low)
        ledger.near(Code.STAGE, place, expected.high, recorded.high)


def _ranking(order: Sequence[str]) -> Ranking:
    return Ranking(tuple(order), tuple(float(-place) for place in range(len(order))))


def _relevant(trial: TrialEvidence, after: After) -> dict[str, tuple[int, int]]:
    """Return, per query with relevant documents that did not fail, how many are handed on, and how
    many there are.
    """
    group = trial.group
    counts: dict[str, tuple[int, int]] = {}
    for query_id in group.query_ids:
        relevant = relevant_of(group.qrels.get(query_id, {}), group.min_relevance)
        has_failed = query_id in (group.candidates or {}) and query_id not in after.orders
        if relevant and not has_failed:
            handed_on = after.orders.get(query_id, ())[: after.handed_on.get(query_id, 0)]
            counts[query_id] = (len(set(relevant).intersection(handed_on)), len(relevant))
    return counts


def relevant_of(grades: Mapping[str, int], min_relevance: int) -> list[str]:
    """Return the documents of a query that count as relevant."""
    return [doc_id for doc_id, grade in grades.items() if grade >= min_relevance]


def _recall(
    trial: TrialEvidence,
    record: StageRecord,
    handed_on: Mapping[str, tuple[int, int]],
    before: Mapping[str, tuple[int, int]],
    key: str,
    ledger: Ledger,
) -> None:
    recall = _mean(handed_on)
    file = trial.record_file
    ledger.near(Code.STAGE, Place(file, key=f"{key}.recall"), recall, record.recall)
    if record.received is None:
        return
    # a record may have lost the stage before
    received = {query_id: before.get(query_id, (0, 1)) for query_id in handed_on}
    lost = sum(count for count, _ in received.values()) - sum(
        count for count, _ in handed_on.values()
    )
    place = Place(file, key=f"{key}.lost_documents")
    ledger.same(Code.STAGE, place, lost, record.lost_documents)
    if recall is not None:
        recall_before = _mean(received) or 0.0
        place = Place(file, key=f"{key}.recall_before")
        ledger.near(Code.STAGE, place, recall_before, record.recall_before)
        place = Place(file, key=f"{key}.lost")
        ledger.near(Code.STAGE, place, recall_before - recall, record.lost)


def _mean(counts: Mapping[str, tuple[int, int]]) -> float | None:
    if not counts:
        return None
    return sum(count / relevant for count, relevant in counts.values()) / len(counts)
