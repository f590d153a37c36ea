"""Queries have not used more than the record says, and their cost is the units at their price."""

from __future__ import annotations

from bench.records.schema import Cost
from bench.records.tables import USAGE, read_stretches
from bench.verification.evidence import Evidence, TrialEvidence
from bench.verification.finding import Code, Ledger, Place


def check(evidence: Evidence, ledger: Ledger) -> None:
    for trial in evidence.trials:
        with ledger.reading(trial.file(USAGE)):
            _usage(trial, ledger)
        _costs(trial, ledger)


def _usage(trial: TrialEvidence, ledger: Ledger) -> None:
    sums: dict[str, float] = {}
    queries = 0
    for rows in read_stretches(trial.group.evidence.folder, USAGE, trial.id):
        queries += rows.num_rows
        for name in USAGE.names[2:]:
            sums[name] = sums.get(name, 0.0) + sum(
                amount for amount in rows[name].to_pylist() if amount is not None
            )
    if not queries:
        return
    for name, amount in trial.record.usage.items():
        if name in sums:
            # queries that failed, and parts that do not tell queries apart, used the rest
            expected = max(sums[name], amount)
            place = Place(trial.record_file, key=f"usage.{name}")
            ledger.near(Code.USAGE, place, expected, amount)


def _costs(trial: TrialEvidence, ledger: Ledger) -> None:
    record = trial.record
    for number, stage in enumerate(record.stages):
        if stage.cost is not None:
            _cost(trial, stage.cost, f"stages.{number}.cost", ledger)
    if record.cost is not None:
        _cost(trial, record.cost, "cost", ledger)
        paid = [stage.cost.usd for stage in record.stages if stage.cost is not None]
        if paid:
            place = Place(trial.record_file, key="cost.usd")
            ledger.near(Code.COST, place, sum(paid), record.cost.usd)


def _cost(trial: TrialEvidence, cost: Cost, key: str, ledger: Ledger) -> None:
    """Compare a cost with its units at their price; that of several services has one price for
    each.
    """
    if not cost.usd_per_unit:
        return
    usd = cost.units * cost.usd_per_unit + cost.units_out * (cost.usd_per_unit_out or 0.0)
    ledger.near(Code.COST, Place(trial.record_file, key=f"{key}.usd"), usd, cost.usd)
    if cost.queries:
        place = Place(trial.record_file, key=f"{key}.usd_per_1000_queries")
        each = 1000 * cost.usd / cost.queries
        ledger.near(Code.COST, place, each, cost.usd_per_1000_queries)
