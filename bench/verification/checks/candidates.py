"""The candidates are those whose hash every record of the group holds."""

from __future__ import annotations

from bench.contract.candidates import Candidates, QueryCandidates
from bench.verification.evidence import Evidence, GroupEvidence
from bench.verification.finding import Code, Ledger, Place, Reason


def check(evidence: Evidence, ledger: Ledger) -> None:
    for group in evidence.groups:
        with ledger.reading(group.lead.ranking_file):
            _check(group, ledger)


def _check(group: GroupEvidence, ledger: Ledger) -> None:
    lists = group.candidates
    if lists is None:
        ledger.gap(Reason.NO_CANDIDATES, group.lead.ranking_file)
        return
    nothing = QueryCandidates((), ())
    by_query = {query_id: lists.get(query_id, nothing) for query_id in group.query_ids}
    by_query |= dict(lists)
    depth = group.lead.record.trial.depth
    longest = max((len(own.doc_ids) for own in by_query.values()), default=0)
    digest = Candidates(by_query, depth, {}).hash
    for trial in group.trials:
        facts = trial.record.candidates
        if "hash" in facts:
            place = Place(trial.record_file, key="candidates.hash")
            ledger.same(Code.CANDIDATES_HASH, place, digest, facts["hash"])
        if facts.get("longest") is not None:
            place = Place(trial.record_file, key="candidates.longest")
            ledger.same(Code.COUNT, place, longest, facts["longest"])
    for query_id, own in by_query.items():
        if len(own.doc_ids) > depth:
            place = Place(group.lead.ranking_file, query=query_id)
            ledger.same(Code.DEPTH, place, depth, len(own.doc_ids))
