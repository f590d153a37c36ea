"""Requests of any number, with texts that all differ."""

from __future__ import annotations

from bench.contract.request import CandidateList


def requests(n: int = 6, docs: int = 4) -> list[CandidateList]:
    """Return `n` queries, each with `docs` documents."""
    doc_ids = [f"d{j}" for j in range(docs)]
    return [
        CandidateList(f"q{i}", f"query {i}", list(doc_ids), [f"text {i} {j}" for j in range(docs)])
        for i in range(n)
    ]
