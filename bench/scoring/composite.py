"""The quality pass over a reranker that is made of others: each part through its own cache, then
what they make together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from bench.contract.request import CandidateList, Failure
from bench.contract.scored import Scored
from bench.contract.stage import Component, Description, Reranker
from bench.core.late_sequence import LateSequence
from bench.core.outsiders import outsiders_code
from bench.rerankers.description import plain
from bench.scoring.job import usable

if TYPE_CHECKING:
    from bench.contract.request import Outcome

ScorePart = Callable[[Component, Sequence[CandidateList]], Scored]
"""Scores the lists of one part."""


class Wanted(LateSequence[int, CandidateList]):
    """Those of these lists that a part is asked, each made when it is looked at."""

    def __init__(self, requests: Sequence[CandidateList], places: Sequence[int]) -> None:
        super().__init__(places)
        self._requests = requests

    def _item(self, place: int) -> CandidateList:
        return self._requests[place]


def combined(
    reranker: Reranker, requests: Sequence[CandidateList], score_part: ScorePart
) -> Scored:
    """Return the scores of a reranker that is made of others, and what its parts used and say that
    they have loaded. Raises RerankerError where what it combines cannot be used.
    """
    result = Scored()
    outcomes: list[list[Outcome | None]] = []
    for part in reranker.parts:
        places: list[int] = []
        for place, request in enumerate(requests):
            if reranker.asks(part, request):
                places.append(place)
        scored = score_part(part, Wanted(requests, places))
        outcomes.append(_row(requests, places, scored))
        result.add(scored)
        result.parts.append(scored)
        scored.scores.clear()
    with outsiders_code():
        reranker.learn(requests, outcomes)
        answers = usable(reranker.combine(requests, outcomes), requests, "combine()")
    for request, answer in zip(requests, answers, strict=True):
        if isinstance(answer, Failure):
            result.failures[request.query_id] = answer.reason
        else:
            result.scores[request.query_id] = answer
    _count(result)
    descriptions = [Description(**part.description) for part in result.parts]
    result.description = plain(reranker.described_by(descriptions))
    return result


def _row(
    requests: Sequence[CandidateList], places: Sequence[int], scored: Scored
) -> list[Outcome | None]:
    """Return what a part gave for each list, None for those that it was not asked."""
    asked_for = frozenset(places)
    row: list[Outcome | None] = []
    for place, request in enumerate(requests):
        outcome: Outcome | None = None
        if place in asked_for:
            if request.query_id in scored.scores:
                outcome = scored.scores[request.query_id]
            else:
                outcome = Failure(scored.failures.get(request.query_id, ""))
        row.append(outcome)
    return row


def _count(result: Scored) -> None:
    """Count each answered query once: as computed where any part computed it; one that no part was
    asked is computed here.
    """
    answered = set(result.scores)
    result.cached &= answered
    result.computed = answered - result.cached


def passes(reranker: Reranker) -> int:
    """Return how often a pair is scored at most: once per part that scores for itself."""
    if not reranker.parts:
        return 1
    return sum(passes(part.reranker) for part in reranker.parts)
