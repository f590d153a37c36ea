"""Percentiles, means and rates of the timed calls are those of the record, and no call has more
documents than its query has candidates.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.latency.sample import Condition
from bench.latency.summary import timed_calls
from bench.records.digests import Draws
from bench.records.tables import LATENCY
from bench.records.timings import TimingSummary, timing_summaries
from bench.verification.evidence import Evidence, TrialEvidence
from bench.verification.finding import Code, Finding, Ledger, Place, Reason

if TYPE_CHECKING:
    import pandas as pd

BOUNDS = ("", " low", " high")


def check(evidence: Evidence, ledger: Ledger) -> None:
    for trial in evidence.trials:
        with ledger.reading(trial.file(LATENCY)):
            if len(trial.calls):
                _pairs(trial, timed_calls(trial.calls), ledger)
            _summaries(trial, ledger)


def _pairs(trial: TrialEvidence, calls: pd.DataFrame, ledger: Ledger) -> None:
    candidates = trial.group.candidates or {}
    of_one_query = calls[calls["query"].notna()]
    columns = (of_one_query[name].tolist() for name in ("scenario", "query", "pairs"))
    for scenario, query_id, pairs in zip(*columns, strict=True):
        ledger.compared += 1
        longest = len(candidates[query_id].doc_ids) if query_id in candidates else None
        if candidates and (longest is None or pairs > longest):
            place = Place(trial.file(LATENCY), query_id, key=scenario)
            ledger.findings.append(Finding(Code.CALL, place, longest, pairs))


def _summaries(trial: TrialEvidence, ledger: Ledger) -> None:
    """Compare the record's summaries with those of the calls."""
    recorded = {summary.condition: summary for summary in trial.record.timings}
    computed: dict[Condition, TimingSummary] = {}
    if len(trial.calls):
        seed = trial.group.evidence.run.seed
        for summary in timing_summaries(trial.calls, seed).get(trial.id, []):
            computed[summary.condition] = summary
    digests = trial.group.evidence.digests
    if computed and not recorded and digests is None:
        ledger.gap(Reason.NO_TIMINGS, trial.record_file)
        return
    for condition in dict.fromkeys([*recorded, *computed]):
        own, written = computed.get(condition), recorded.get(condition)
        key = f"timings.{condition.scenario}"
        if condition.rate is not None:
            key += f" {condition.rate:.3g}/s"
        place = Place(trial.record_file, key=key)
        samples = [summary.samples if summary else 0 for summary in (own, written)]
        ledger.same(Code.CALLS, place, samples[0], samples[1])
        if own is not None and written is not None:
            _same(trial, key, own, written, ledger)


def _same(
    trial: TrialEvidence, key: str, own: TimingSummary, written: TimingSummary, ledger: Ledger
) -> None:
    place = Place(trial.record_file, key=key)
    ledger.same(Code.CALLS, place, own.queries, written.queries)
    digests = trial.group.evidence.digests
    is_alike = digests is not None and digests.draws.latency == Draws().latency
    for name in sorted({*own.values, *written.values}):
        values = own.values.get(name, (None,) * 3), written.values.get(name, (None,) * 3)
        for bound, expected, actual in zip(BOUNDS, *values, strict=True):
            if bound and not is_alike:
                ledger.gap(Reason.OTHER_DRAWS, trial.record_file, key="timings")
                continue
            place = Place(trial.record_file, key=f"{key}.{name}{bound}")
            ledger.near(Code.PERCENTILE, place, expected, actual)
