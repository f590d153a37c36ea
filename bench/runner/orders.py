"""Whole orders of the candidates: the first stage's, and the quality of one."""

from __future__ import annotations

from bench.contract.candidates import Compact, QueryCandidates
from bench.contract.request import CandidateList
from bench.contract.scored import Scored, ScoresByQuery
from bench.pipelines.handing import Orders, aligned
from bench.quality.assess import Assessed, assess
from bench.quality.questions import Questions
from bench.rerankers.reference.fixed import in_order


def assessed(orders: Orders, questions: Questions, seed: int) -> Assessed:
    """Return the quality of the orders of some queries; those without one score 0."""
    scores = ScoresByQuery()
    for request in questions.requests:
        if request.query_id in orders:
            scores[request.query_id] = aligned(request, orders[request.query_id])
    return assess(Scored(scores=scores), questions, seed)


def candidate_orders(questions: Questions) -> Orders:
    """Return the first stage's order of each query."""
    return Compact((request.query_id, _candidates(request)) for request in questions.requests)


def _candidates(request: CandidateList) -> QueryCandidates:
    """Return the first stage's order with its scores, or with n, n-1, ..., 1 where these say
    another one, as an outsider's may.
    """
    import numpy as np

    doc_ids, scores = tuple(request.doc_ids), tuple(request.scores)
    if not in_order(doc_ids, np.asarray(scores, dtype=np.float64)):
        scores = tuple(float(place) for place in range(len(doc_ids), 0, -1))
    return QueryCandidates(doc_ids, scores)
