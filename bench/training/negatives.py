"""The negatives of a query: judged ones first, hard ones of a pipeline, easy ones at random.

Positive-aware limits keep false negatives out: unjudged documents that a query's candidates have
because they do answer it (Moreira et al., NV-Retriever, 2024).
"""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from bench.contract.candidates import QueryCandidates
from bench.datasets.base import content_hash
from bench.datasets.judged_queries import JudgedQuery
from bench.training.options import Negatives

Scores = Mapping[str, float]


class Chosen(NamedTuple):
    """The negatives of one query: judged not relevant, hard by rank, easy; and how many of the
    window were left out by each limit.
    """

    judged: tuple[str, ...]
    hard: tuple[str, ...]
    easy: tuple[str, ...]
    by_margin: int = 0
    by_teacher: int = 0

    @property
    def doc_ids(self) -> tuple[str, ...]:
        return (*self.judged, *self.hard, *self.easy)


class Window(NamedTuple):
    """The unjudged candidates of a query that may be hard negatives, by rank, and how many the
    margin leaves out.
    """

    doc_ids: tuple[str, ...]
    by_margin: int


def window(
    options: Negatives, query: JudgedQuery, candidates: QueryCandidates, barred: Collection[str]
) -> Window:
    """Return the candidates inside the window of ranks that are not judged, not barred, and by the
    margin below the best positive that the pipeline retrieved; without such a positive there is no
    margin.
    """
    scores = dict(zip(candidates.doc_ids, candidates.scores, strict=True))
    first, last = options.ranks or (1, len(candidates.doc_ids))
    unjudged: list[str] = []
    for doc_id in candidates.doc_ids[first - 1 : last]:
        if doc_id not in query.grades and doc_id not in barred:
            unjudged.append(doc_id)
    positives = [scores[doc_id] for doc_id in query.positives if doc_id in scores]
    if options.margin is None or not positives:
        return Window(tuple(unjudged), 0)
    limit = max(positives) - options.margin
    inside = tuple(doc_id for doc_id in unjudged if scores[doc_id] <= limit)
    return Window(inside, len(unjudged) - len(inside))


def within_limit(
    below: float | None, query: JudgedQuery, doc_ids: Sequence[str], teacher: Scores
) -> list[str]:
    """Return the documents whose teacher score is at most a share of the best positive's. Both are
    counted from the lowest score among the query's scored documents, so that the scale of the
    teacher does not matter.
    """
    if below is None:
        return list(doc_ids)
    best = max(teacher[doc_id] for doc_id in query.positives)
    lowest = min(teacher[doc_id] for doc_id in (*query.positives, *doc_ids))
    limit = lowest + below * (best - lowest)
    return [doc_id for doc_id in doc_ids if teacher[doc_id] <= limit and best > lowest]


def choose(
    options: Negatives,
    query: JudgedQuery,
    candidates: QueryCandidates,
    collection: Sequence[str],
    seed: int,
    *,
    teacher: Scores | None = None,
    barred: Collection[str] = (),
) -> Chosen:
    """Return the negatives of a query, drawn by a hash of the seed, the query and the document:
    the order of queries and of threads decides nothing.

    `collection` are the documents that easy ones are drawn from, `barred` those that no negative
    may be. Where the window has too few, easy ones take their place.
    """
    easy_wanted = round(options.easy * options.per_query)
    wanted = options.per_query - easy_wanted
    place = {doc_id: rank for rank, doc_id in enumerate(candidates.doc_ids)}

    def drawn(doc_ids: Sequence[str], count: int) -> list[str]:
        in_order = sorted(
            doc_ids, key=lambda doc_id: content_hash([(str(seed), query.name, doc_id)])
        )
        return in_order[:count]

    zeros = [doc_id for doc_id, grade in query.grades.items() if grade <= 0]
    retrieved = sorted((doc_id for doc_id in zeros if doc_id in place), key=place.__getitem__)
    others = drawn([doc_id for doc_id in zeros if doc_id not in place], len(zeros))
    usable = [doc_id for doc_id in (*retrieved, *others) if doc_id not in barred]
    judged = usable[:wanted]
    inside = window(options, query, candidates, barred)
    limited = within_limit(options.below, query, inside.doc_ids, teacher or {})
    hard = sorted(drawn(limited, wanted - len(judged)), key=place.__getitem__)
    excluded = {*query.grades, *candidates.doc_ids, *barred}
    count = options.per_query - len(judged) - len(hard)
    easy = _random(collection, excluded, count, content_hash([(str(seed), query.name)]))
    by_teacher = len(inside.doc_ids) - len(limited)
    return Chosen(tuple(judged), tuple(hard), tuple(easy), inside.by_margin, by_teacher)


def _random(
    collection: Sequence[str], excluded: Collection[str], count: int, seed: str
) -> list[str]:
    """Return random documents of a collection but for those that are excluded."""
    # of so many documents at least `count` are not excluded, where the collection has them
    size = min(len(collection), count + len(excluded))
    places = random.Random(seed).sample(range(len(collection)), size)
    drawn = [collection[place] for place in places]
    return [doc_id for doc_id in drawn if doc_id not in excluded][:count]
