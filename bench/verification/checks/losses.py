"""Every relevant document: in the top of the ranking, or lost by the stage that the table names."""

from __future__ import annotations

from bench.quality.losses import After, Losses
from bench.records.losses import LossRecord, loss_record, loss_rows
from bench.records.tables import LOSSES, path_of, read_files
from bench.verification.checks.stages import relevant_of, stages_of
from bench.verification.evidence import Evidence, TrialEvidence
from bench.verification.finding import Code, Ledger, Place, Reason


def check(evidence: Evidence, ledger: Ledger) -> None:
    for trial in evidence.trials:
        recorded = trial.record.losses
        if recorded is None:
            ledger.gap(Reason.NO_LOSSES, trial.record_file)
            continue
        with ledger.reading(trial.file(LOSSES)):
            losses = _recomputed(trial, recorded)
            if losses is None:
                ledger.gap(Reason.NO_STAGES, trial.file(LOSSES))
                continue
            _counts(trial, recorded, losses, ledger)
            _documents(trial, recorded, losses, ledger)


def _recomputed(trial: TrialEvidence, recorded: LossRecord) -> Losses | None:
    """Return the losses that orders and judgments give; None where the folder lacks them."""
    group = trial.group
    if group.candidates is None or not group.qrels or not trial.orders:
        return None
    orders_of: dict[str, list[After]] = {}
    if len(trial.record.stages) > 1:
        stages = stages_of(trial)
        if stages is None:
            return None
        for query_id in group.candidates:
            for number, stage in enumerate(stages):
                order = After(None, 0)
                if query_id in stage.orders:
                    order = After(stage.orders[query_id], stage.handed_on[query_id])
                if number in (0, len(stages) - 1) and order.doc_ids is not None:
                    # the search and the last stage cut nothing
                    order = After(order.doc_ids, len(order.doc_ids))
                orders_of.setdefault(query_id, []).append(order)
                if order.doc_ids is None:
                    break
    else:
        for query_id, own in group.candidates.items():
            orders = [After(own.doc_ids, len(own.doc_ids))]
            ranking = trial.orders.get(query_id)
            last = After(None, 0)
            if ranking is not None:
                last = After(ranking.doc_ids, len(ranking.doc_ids))
            orders_of[query_id] = [*orders, last][-len(recorded.stages) :]
    losses = Losses(recorded.cutoff, len(recorded.stages))
    for query_id in group.query_ids:
        relevant = relevant_of(group.qrels.get(query_id, {}), group.min_relevance)
        if relevant:
            losses.add(query_id, relevant, orders_of.get(query_id, []))
    return losses


def _counts(trial: TrialEvidence, recorded: LossRecord, losses: Losses, ledger: Ledger) -> None:
    expected = loss_record(losses, [stage.stage for stage in recorded.stages])
    file = trial.record_file
    for name in ("relevant", "in_top"):
        own, written = (record.model_dump()[name] for record in (expected, recorded))
        ledger.same(Code.LOSSES, Place(file, key=f"losses.{name}"), own, written)
    for number, (stage, written) in enumerate(zip(expected.stages, recorded.stages, strict=True)):
        for name, count in stage.model_dump(exclude={"stage"}).items():
            place = Place(file, key=f"losses.stages.{number}.{name}")
            ledger.same(Code.LOSSES, place, count, written.model_dump()[name])


def _documents(trial: TrialEvidence, recorded: LossRecord, losses: Losses, ledger: Ledger) -> None:
    """Compare the table, document by document."""
    path = path_of(trial.group.evidence.folder, LOSSES, trial.id)
    table = read_files([path] if path.is_file() else [], LOSSES)
    names = [stage.stage for stage in recorded.stages]
    expected: dict[tuple[str, str], str] = {}
    for _, query_id, doc_id, loss, stage in loss_rows(trial.id, losses, names):
        expected[query_id, doc_id] = f"{loss} by {stage}"
    stored: dict[tuple[str, str], str] = {}
    columns = (table[name].tolist() for name in ("query", "doc_id", "loss", "stage"))
    for query_id, doc_id, loss, stage in zip(*columns, strict=True):
        stored[query_id, doc_id] = f"{loss} by {stage}"
    for query_id, doc_id in sorted({*expected, *stored}):
        place = Place(trial.file(LOSSES), query_id, doc_id)
        key = (query_id, doc_id)
        ledger.same(Code.LOSS, place, expected.get(key), stored.get(key))
