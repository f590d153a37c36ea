"""What a probe is: other lists in place of a query's own, and what is expected of their scores."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from bench.contract.request import CandidateList, picked
from bench.contract.stage import Reranker
from bench.records.probe_file import Expectation


@dataclass(frozen=True)
class ProbedQuery:
    """A query's list with its texts, and the places of its relevant documents. `seed` is the
    query's own.
    """

    request: CandidateList
    relevant: frozenset[int]
    seed: int = 0

    @property
    def random(self) -> random.Random:
        """A generator of random numbers, the same at every access."""
        return random.Random(self.seed)

    @property
    def first_relevant(self) -> int | None:
        """The place of the first relevant document."""
        return min(self.relevant, default=None)

    @property
    def last_irrelevant(self) -> int | None:
        """The place of the last document that is not relevant."""
        places = set(range(len(self.request.doc_ids))) - self.relevant
        return max(places, default=None)


class Variant(NamedTuple):
    """The lists of a probe in place of a query's own. Documents keep their ids, and new ones have
    ids of their own.

    With a `target`, the score of this document in the first list is compared with its score in the
    second one, or in the query's own list where there is no second.
    """

    lists: Sequence[CandidateList]
    target: str = ""


@dataclass(frozen=True)
class Probe:
    """One metamorphic test. `variant` gives the lists of a query, None for a query that it does not
    fit; `applies` says why a reranker is not probed, empty where it is. `settings` are options of
    the reranker that the lists are scored with, in place of its own. `apart`: each list is a call
    of its own, since one call of several lists may be one batch.
    """

    title: str
    expects: Expectation
    variant: Callable[[ProbedQuery], Variant | None]
    applies: Callable[[Reranker], str] = field(default=lambda reranker: "")
    settings: Mapping[str, int] = field(default_factory=dict)
    apart: bool = False


def pointwise_only(reranker: Reranker) -> str:
    """Return why a reranker is not probed that scores a document together with the others."""
    if reranker.is_sure_pointwise:
        return ""
    return "a document's score may depend on the other documents"


def reordered(request: CandidateList, places: Sequence[int]) -> CandidateList:
    """Return a list of the documents at these places, in this order."""
    scores: list[float] = []
    if len(request.scores):
        scores = [request.scores[place] for place in places]
    return picked(request, [request.doc_ids[place] for place in places], scores)


def rewritten(
    request: CandidateList, rewrite: Callable[[str], str], place: int | None = None
) -> CandidateList:
    """Return a list with the text of every document rewritten, or of the one at a place."""
    docs = list(request.docs)
    places = range(len(docs)) if place is None else [place]
    for one_place in places:
        docs[one_place] = rewrite(docs[one_place])
    return replace(request, docs=docs)


def with_document(request: CandidateList, doc_id: str, text: str, place: int) -> CandidateList:
    """Return a list with a further document at a place."""
    doc_ids, docs, scores = list(request.doc_ids), list(request.docs), list(request.scores)
    doc_ids.insert(place, doc_id)
    docs.insert(place, text)
    if scores:
        scores.insert(place, scores[min(place, len(scores) - 1)])
    return replace(request, doc_ids=doc_ids, docs=docs, scores=scores)
