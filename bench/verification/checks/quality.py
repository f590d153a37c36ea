"""Every value of every query, and the means and intervals of these."""

from __future__ import annotations

from bench.quality import statistics
from bench.records.digests import Draws
from bench.records.tables import PER_QUERY
from bench.verification.evidence import Evidence, TrialEvidence, Values
from bench.verification.finding import Code, Ledger, Place, Reason


def check(evidence: Evidence, ledger: Ledger) -> None:
    for trial in evidence.trials:
        with ledger.reading(trial.file(PER_QUERY)):
            _values(trial, ledger)
            _estimates(trial, ledger)


def _values(trial: TrialEvidence, ledger: Ledger) -> None:
    """Compare the table with what rankings and judgments give."""
    if trial.values is None:
        reason = Reason.NO_RANKING if trial.group.qrels else Reason.NO_JUDGMENTS
        ledger.gap(reason, trial.file(PER_QUERY))
        return
    file = trial.file(PER_QUERY)
    for measure, expected in trial.values.items():
        stored = trial.stored_values.get(measure, {})
        for query_id, value in expected.items():
            place = Place(file, query_id, key=measure)
            if query_id in stored:
                ledger.near(Code.VALUE, place, value, stored[query_id])
            else:
                ledger.near(Code.VALUE, place, value, None)
        for query_id in stored.keys() - expected.keys():
            ledger.same(Code.QUERY, Place(file, query_id, key=measure), False, True)
    for query_id in trial.group.qrels.keys() - set(trial.group.query_ids):
        ledger.same(Code.QUERY, Place(file, query_id), True, False)


def _estimates(trial: TrialEvidence, ledger: Ledger) -> None:
    """Compare means and intervals with those of the values."""
    evidence = trial.group.evidence
    draws = evidence.digests.draws if evidence.digests else None
    values: Values = trial.values or trial.stored_values
    for measure, recorded in trial.record.quality.items():
        own = list(values.get(measure, {}).values())
        place = Place(trial.record_file, key=f"quality.{measure}")
        expected = statistics.estimate(own, evidence.run.seed)
        ledger.near(Code.MEAN, place, expected.mean, recorded.mean)
        ledger.same(Code.COUNT, place, expected.n, recorded.n)
        if draws is None or draws.quality != Draws().quality:
            ledger.gap(Reason.OTHER_DRAWS, trial.record_file, key="quality")
            continue
        for name, bound, written in (
            ("low", expected.low, recorded.low),
            ("high", expected.high, recorded.high),
        ):
            own_place = Place(trial.record_file, key=f"quality.{measure}.{name}")
            ledger.near(Code.INTERVAL, own_place, bound, written)
