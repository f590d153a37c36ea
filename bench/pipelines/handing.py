"""What one stage hands to the next, over many queries: their lists, cut, and the whole order as it
stands after a stage.

Documents that a stage did not see keep their place below those that it saw, in the order of the
stage before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, overload

from bench.contract.candidates import QueryCandidates
from bench.contract.request import CandidateList, Picked

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Scores = NDArray[np.float64]

Orders = Mapping[str, QueryCandidates]
"""Query id -> all of its candidates in the order as it stands, with scores that never rise."""


class Handed(Sequence[CandidateList]):
    """The lists that a stage is handed: the first `keep` documents of each query's order. A list is
    made when it is asked for; queries that failed before have none.
    """

    def __init__(self, requests: Sequence[CandidateList], orders: Orders, keep: int | None) -> None:
        self._orders, self._keep = orders, keep
        self._requests = requests
        self._at = [at for at, request in enumerate(requests) if request.query_id in orders]

    def __len__(self) -> int:
        return len(self._at)

    @overload
    def __getitem__(self, at: int) -> CandidateList: ...
    @overload
    def __getitem__(self, at: slice) -> list[CandidateList]: ...
    def __getitem__(self, at: int | slice) -> CandidateList | list[CandidateList]:
        if isinstance(at, slice):
            return [self._list(number) for number in self._at[at]]
        return self._list(self._at[at])

    def _list(self, number: int) -> CandidateList:
        request = self._requests[number]
        order = self._orders[request.query_id]
        doc_ids, scores = order.doc_ids[: self._keep], order.scores[: self._keep]
        places = {doc_id: place for place, doc_id in enumerate(request.doc_ids)}
        docs = Picked(request.docs, [places[doc_id] for doc_id in doc_ids])
        return replace(request, doc_ids=doc_ids, docs=docs, scores=scores)


def standing(before: QueryCandidates, after: QueryCandidates) -> QueryCandidates:
    """Return a query's whole order after a stage: what it saw as it ordered it, then the others as
    they were, with scores of their own below.
    """
    seen = set(after.doc_ids)
    others = [doc_id for doc_id in before.doc_ids if doc_id not in seen]
    if not others:
        return after
    lowest = after.scores[-1] if after.scores else 0.0
    # a difference that double and single precision can tell
    step = max(1.0, abs(lowest) * 1e-6)
    below = [lowest - step * number for number in range(1, len(others) + 1)]
    return QueryCandidates((*after.doc_ids, *others), (*after.scores, *below))


def aligned(request: CandidateList, order: QueryCandidates) -> Scores:
    """Return the scores of an order in the order of the request's documents."""
    import numpy as np

    scores = dict(zip(order.doc_ids, order.scores, strict=True))
    return np.array([scores[doc_id] for doc_id in request.doc_ids], dtype=np.float64)
