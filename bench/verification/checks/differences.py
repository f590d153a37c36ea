"""Paired differences to the first stage: mean, interval, p, and the queries that moved."""

from __future__ import annotations

from bench.quality import statistics
from bench.quality.statistics import Difference
from bench.records.digests import Draws
from bench.verification.evidence import Evidence, TrialEvidence
from bench.verification.finding import Code, Ledger, Place, Reason


def check(evidence: Evidence, ledger: Ledger) -> None:
    for group in evidence.groups:
        first = group.first
        if first is None:
            continue
        for trial in group.trials:
            if trial is not first:
                with ledger.reading(trial.record_file):
                    _differences(trial, first, ledger)
            with ledger.reading(trial.ranking_file):
                _first_changed(trial, ledger)


def _differences(trial: TrialEvidence, first: TrialEvidence, ledger: Ledger) -> None:
    new, old = trial.values or trial.stored_values, first.values or first.stored_values
    if trial.group.evidence.digests is not None:
        for measure in trial.record.quality:
            is_there = measure in trial.record.vs_first_stage
            place = Place(trial.record_file, key=f"vs_first_stage.{measure}")
            ledger.same(Code.ABSENT, place, measure in first.record.quality, is_there)
    for measure, recorded in trial.record.vs_first_stage.items():
        query_ids = [query_id for query_id in new.get(measure, {}) if query_id in old[measure]]
        expected = statistics.difference(
            [new[measure][query_id] for query_id in query_ids],
            [old[measure][query_id] for query_id in query_ids],
            trial.group.evidence.run.seed,
        )
        _same(trial, measure, expected, recorded, ledger)


def _same(
    trial: TrialEvidence, measure: str, expected: Difference, recorded: Difference, ledger: Ledger
) -> None:
    file, key = trial.record_file, f"vs_first_stage.{measure}"
    ledger.near(Code.DIFFERENCE, Place(file, key=f"{key}.mean"), expected.mean, recorded.mean)
    counts = {
        "wins": (expected.wins, recorded.wins),
        "ties": (expected.ties, recorded.ties),
        "losses": (expected.losses, recorded.losses),
    }
    for name, (count, written) in counts.items():
        ledger.same(Code.MOVED, Place(file, key=f"{key}.{name}"), count, written)
    digests = trial.group.evidence.digests
    usual = Draws()
    if digests is None or digests.draws != usual:
        ledger.gap(Reason.OTHER_DRAWS, file, key="vs_first_stage")
        return
    ledger.near(Code.INTERVAL, Place(file, key=f"{key}.low"), expected.low, recorded.low)
    ledger.near(Code.INTERVAL, Place(file, key=f"{key}.high"), expected.high, recorded.high)
    ledger.near(Code.P_VALUE, Place(file, key=f"{key}.p"), expected.p, recorded.p)


def _first_changed(trial: TrialEvidence, ledger: Ledger) -> None:
    """Compare the share of queries with another first document than the first stage's."""
    candidates, recorded = trial.group.candidates, trial.record.first_changed
    if candidates is None or recorded is None or not trial.orders:
        return
    changed = 0
    for query_id, order in trial.orders.items():
        if query_id in candidates:
            changed += order.doc_ids[0] != candidates[query_id].doc_ids[0]
    place = Place(trial.record_file, key="first_changed")
    ledger.near(Code.MOVED, place, changed / len(trial.orders), recorded)
