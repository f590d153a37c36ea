"""The judgments are those whose hash the records hold, and so are the queries where every text is
in the folder.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.datasets.base import content_hash
from bench.records.tables import QUERIES, path_of, read_files
from bench.verification.evidence import Evidence, GroupEvidence
from bench.verification.finding import Code, Ledger, Place, Reason


def check(evidence: Evidence, ledger: Ledger) -> None:
    for group in evidence.groups:
        with ledger.reading(group.judgments_file):
            _judgments(group, ledger)
        with ledger.reading(QUERIES.name):
            _queries(group, ledger)


def _judgments(group: GroupEvidence, ledger: Ledger) -> None:
    rows: list[tuple[str, str, str]] = []
    for query_id, grades in group.qrels.items():
        rows += [(query_id, doc_id, str(grade)) for doc_id, grade in grades.items()]
    if not rows:
        ledger.gap(Reason.NO_JUDGMENTS, group.judgments_file)
        return
    facts: Mapping[str, Any] = group.lead.record.dataset
    place = Place(group.judgments_file)
    if "qrels_hash" in facts:
        ledger.same(Code.DATA_HASH, place, facts["qrels_hash"], content_hash(sorted(rows)))
    if "judgments" in facts:
        ledger.same(Code.COUNT, place, facts["judgments"], len(rows))


def _queries(group: GroupEvidence, ledger: Ledger) -> None:
    facts: Mapping[str, Any] = group.lead.record.dataset
    folder = group.evidence.folder
    trial = group.judgments_file.rpartition("/")[2].removesuffix(".parquet")
    path = path_of(folder, QUERIES, trial)
    if "queries_hash" not in facts or not path.is_file():
        return
    table = read_files([path], QUERIES)
    if len(table) != facts.get("queries"):
        ledger.gap(Reason.NO_TEXTS, f"{QUERIES.name}/{path.name}")
        return
    rows = sorted(zip(table["query"].tolist(), table["text"].tolist(), strict=True))
    place = Place(f"{QUERIES.name}/{path.name}")
    ledger.same(Code.DATA_HASH, place, facts["queries_hash"], content_hash(rows))
