"""Where a pipeline loses relevant documents: for each that is missing from the top of its ranking,
the stage that lost it.

A document that the search does not bring was not retrieved. One that a stage was handed and does
not hand on was cut by that stage. One that reached the last stage and is below the top was ranked
below: by the stage that last took it out of the top, or, where no order ever had it there, by the
last stage, whose order is the result and which cuts nothing. Where a query failed in a stage, that
stage lost what it was handed.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from bench.contract.request import CandidateList
from bench.quality import measures
from bench.quality.questions import Questions
from bench.ranking.order import Ranking

TOP = 10
"""How far the top reaches where the headline measure has no cutoff."""
SHOWN = 10
"""Lost documents of a pipeline that a report shows one by one."""


class Loss(StrEnum):
    """How a stage loses a relevant document."""

    NOT_RETRIEVED = "not-retrieved"
    CUT = "cut"
    RANKED_BELOW = "ranked-below"
    FAILED = "failed"


class After(NamedTuple):
    """A query's order after a stage, and how many of its documents are handed on. There is no order
    where the query failed.
    """

    doc_ids: Sequence[str] | None
    handed_on: int


Before = Callable[[CandidateList], Sequence[After]]
"""Returns a query's orders after each stage before the last."""


class Lost(NamedTuple):
    """A relevant document that is missing, and the number of the stage that lost it."""

    query_id: str
    doc_id: str
    loss: Loss
    stage: int


@dataclass
class Losses:
    """Counts the relevant documents of a trial, query by query. `stages` is how many there are, the
    search among them.
    """

    cutoff: int
    stages: int
    relevant: int = 0
    in_top: int = 0
    lost: list[Lost] = field(default_factory=list)

    def add(self, query_id: str, relevant: Sequence[str], orders: Sequence[After]) -> None:
        """Add a query: its relevant documents, and its order after each stage. A query without
        candidates has no orders.
        """
        wanted = set(relevant)
        places: list[Mapping[str, int]] = []
        for order in orders:
            places.append(_places(order.doc_ids or (), wanted))
        self.relevant += len(wanted)
        for doc_id in relevant:
            lost = self._lost(query_id, doc_id, orders, places)
            if lost is None:
                self.in_top += 1
            else:
                self.lost.append(lost)

    def counts(self) -> Iterator[Mapping[Loss, int]]:
        """Yield, stage by stage, how many documents it lost in each way."""
        by_stage = [dict.fromkeys(Loss, 0) for _ in range(self.stages)]
        for lost in self.lost:
            by_stage[lost.stage][lost.loss] += 1
        yield from by_stage

    def highest_graded(self, qrels: Mapping[str, Mapping[str, int]]) -> list[Lost]:
        """Return the lost documents that a report shows: those of the highest grades."""
        return heapq.nlargest(SHOWN, self.lost, key=lambda lost: qrels[lost.query_id][lost.doc_id])

    def _lost(
        self,
        query_id: str,
        doc_id: str,
        orders: Sequence[After],
        places: Sequence[Mapping[str, int]],
    ) -> Lost | None:
        if not orders or doc_id not in places[0]:
            return Lost(query_id, doc_id, Loss.NOT_RETRIEVED, 0)
        is_whole = len(orders) == self.stages and orders[-1].doc_ids is not None
        if is_whole and places[-1][doc_id] < self.cutoff:
            return None
        last_in_top = -1
        for number, order in enumerate(orders):
            if order.doc_ids is None:
                return Lost(query_id, doc_id, Loss.FAILED, number)
            place = places[number][doc_id]
            if place >= order.handed_on:
                return Lost(query_id, doc_id, Loss.CUT, number)
            if place < self.cutoff:
                last_in_top = number
        blamed = self.stages - 1
        if last_in_top >= 0:
            blamed = last_in_top + 1
        return Lost(query_id, doc_id, Loss.RANKED_BELOW, blamed)


@dataclass(frozen=True)
class LossCounter:
    """Adds the queries of a trial as they are ranked. `before` gives the orders of the stages
    before the last.
    """

    losses: Losses
    before: Before

    def add(self, rankings: Mapping[str, Ranking], part: Questions) -> None:
        requests = {request.query_id: request for request in part.requests}
        for query_id, grades in part.qrels.items():
            threshold = part.dataset.min_relevance
            relevant = [doc_id for doc_id, grade in grades.items() if grade >= threshold]
            if not relevant:
                continue
            orders: list[After] = []
            if query_id in requests:
                orders += self.before(requests[query_id])
                if len(orders) == self.losses.stages - 1:
                    orders.append(self._last(query_id, rankings))
            self.losses.add(query_id, relevant, orders)

    def _last(self, query_id: str, rankings: Mapping[str, Ranking]) -> After:
        if query_id not in rankings:
            return After(None, 0)
        doc_ids = rankings[query_id].doc_ids
        return After(doc_ids, len(doc_ids))


def no_stage_before(request: CandidateList) -> Sequence[After]:
    """Return no orders: the search is the only stage."""
    return ()


def search_before(request: CandidateList) -> Sequence[After]:
    """Return the order of the search."""
    return (After(request.doc_ids, len(request.doc_ids)),)


def cutoff_of(headline: str) -> int:
    """Return how far the top of a ranking reaches: the headline measure's cutoff."""
    return int(measures.parse(headline).params.get("cutoff") or TOP)


def _places(doc_ids: Sequence[str], wanted: set[str]) -> dict[str, int]:
    """Return the place of each of these documents in an order, from 0."""
    return {doc_id: place for place, doc_id in enumerate(doc_ids) if doc_id in wanted}
