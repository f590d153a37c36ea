"""How two orders of one list differ, and its gain of one document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from bench.contract.request import CandidateList
from bench.probes.base import Variant
from bench.quality import measures, statistics
from bench.ranking.order import Ranking, rank

if TYPE_CHECKING:
    from bench.contract.request import Scores

MEASURE = "nDCG@10"


class Move(NamedTuple):
    """What became of one query's order: whether another document is first, Kendall's tau, and the
    share of the pairs of documents further apart than the tolerance that changed their order.
    """

    first_changed: bool
    tau: float
    swapped: float


def own_scores(
    base: CandidateList, base_scores: Scores, variant: Variant, answer: Sequence[Scores]
) -> Scores:
    """Return the scores of a query's own documents, as the lists of a variant have them. A document
    that is in none of them keeps its score.
    """
    scores = base_scores.copy()
    places = {doc_id: place for place, doc_id in enumerate(base.doc_ids)}
    for request, list_scores in zip(variant.lists, answer, strict=True):
        for doc_id, score in zip(request.doc_ids, list_scores.tolist(), strict=True):
            if doc_id in places:
                scores[places[doc_id]] = score
    return scores


def move(base: CandidateList, before: Scores, after: Scores, tolerance: float) -> Move:
    """Compare two scorings of one list. `tolerance` is the share of its range of scores that
    rounding explains.
    """
    import numpy as np

    first, second = rank(base.doc_ids, before), rank(base.doc_ids, after)
    place = {doc_id: number for number, doc_id in enumerate(second.doc_ids)}
    tau = statistics.kendall_tau([place[doc_id] for doc_id in first.doc_ids])
    gaps = before[:, None] - before[None, :]
    apart = gaps > tolerance * np.ptp(before)
    swapped = 0.0
    if apart.any():
        # by place and not by score: equal scores have an order, too
        places = np.array([place[doc_id] for doc_id in base.doc_ids])
        swapped = float((places[:, None] > places[None, :])[apart].mean())
    return Move(first.doc_ids[0] != second.doc_ids[0], tau, swapped)


def gain(
    base: CandidateList, base_scores: Scores, variant: Variant, answer: Sequence[Scores]
) -> float:
    """Return by how much the score of the variant's target is higher in its first list than in the
    second, or in the query's own; as a share of the own list's range of scores, 0 without a range.
    """
    import numpy as np

    span = float(np.ptp(base_scores))
    if not span:
        return 0.0
    changed = _score_in(variant.lists[0], answer[0], variant.target)
    if len(variant.lists) > 1:
        return (changed - _score_in(variant.lists[1], answer[1], variant.target)) / span
    return (changed - _score_in(base, base_scores, variant.target)) / span


def _score_in(request: CandidateList, scores: Scores, doc_id: str) -> float:
    return float(scores[list(request.doc_ids).index(doc_id)])


def quality(
    lists: Mapping[str, CandidateList],
    scores: Mapping[str, Scores],
    qrels: Mapping[str, Mapping[str, int]],
) -> dict[str, float]:
    """Return query id -> the measure of the order that its scores give."""
    rankings: dict[str, Ranking] = {}
    for query_id, own in scores.items():
        rankings[query_id] = rank(lists[query_id].doc_ids, own)
    judged = {query_id: qrels[query_id] for query_id in scores}
    (values,) = measures.evaluate(rankings, judged, [MEASURE]).values()
    return values
