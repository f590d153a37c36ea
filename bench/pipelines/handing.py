"""What one stage hands to the next, over many queries: their lists, cut, and the whole order
after a stage.

Documents that a stage did not see keep their place below those that it saw, in the order of the
stage before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from bench.contract.candidates import QueryCandidates
from bench.contract.request import CandidateList, picked
from bench.core.late_sequence import LateSequence
from bench.ranking.order import step_at

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Scores = NDArray[np.float64]

Orders = Mapping[str, QueryCandidates]
"""Query id -> all of its candidates in their present order, with scores that never rise."""

Limits = Mapping[str, int]
"""Query id -> how many documents are handed on, of queries where a stage said so by their
scores.
"""


class Handed(LateSequence[int, CandidateList]):
    """The lists that a stage is handed: the first `keep` documents of each query's order, fewer of
    a query that has a limit of its own. Queries that failed before have none.
    """

    def __init__(
        self,
        requests: Sequence[CandidateList],
        orders: Orders,
        keep: int | None,
        limits: Limits | None = None,
    ) -> None:
        places = [place for place, query in enumerate(requests) if query.query_id in orders]
        super().__init__(places)
        self._requests, self._orders, self._keep = requests, orders, keep
        self._limits = limits or {}

    def _item(self, place: int) -> CandidateList:
        request = self._requests[place]
        order = self._orders[request.query_id].first(self._keep)
        order = order.first(self._limits.get(request.query_id))
        return picked(request, order.doc_ids, order.scores)


def standing(before: QueryCandidates, after: QueryCandidates) -> QueryCandidates:
    """Return a query's whole order after a stage: what it saw as it ordered it, then the others as
    they were, with scores of their own below.
    """
    seen = set(after.doc_ids)
    others = [doc_id for doc_id in before.doc_ids if doc_id not in seen]
    if not others:
        return after
    lowest = after.scores[-1] if after.scores else 0.0
    step = step_at(lowest)
    below = [lowest - step * number for number in range(1, len(others) + 1)]
    return QueryCandidates((*after.doc_ids, *others), (*after.scores, *below))


def aligned(request: CandidateList, order: QueryCandidates) -> Scores:
    """Return the scores of an order in the order of the request's documents."""
    import numpy as np

    scores = dict(zip(order.doc_ids, order.scores, strict=True))
    return np.array([scores[doc_id] for doc_id in request.doc_ids], dtype=np.float64)
