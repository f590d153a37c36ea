"""Quality at every depth from one scored run.

A pointwise reranker gives a document the same score whatever stands beside it. Scored at depth k,
it has a ranking at every smaller depth d too: the first d candidates in its order, then the others
as the first stage had them. A listwise reranker has its own depth only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bench.contract.trial import System, Trial
from bench.quality import measures
from bench.ranking.order import Ranking

if TYPE_CHECKING:
    from bench.contract.request import CandidateList
    from bench.quality.assess import PerQuery
    from bench.quality.questions import Questions

FIRST_STAGE_DEPTH = 0
STEPS = (1, 2, 5, 10, 15, 20, 30, 40, 50, 75, 100, 150, 200, 300, 400, 500, 750, 1000)

Curve = Mapping[int, "PerQuery"]
"""depth -> measure -> query id -> value."""


def wanted(trial: Trial, pointwise: bool, longest: int, timed: Sequence[int] = ()) -> list[int]:
    """Return the depths of a trial's curve: none reranked, a few steps and those that are timed,
    and the depth that was scored. None lies beyond the longest list of candidates, where the curve
    would be flat.

    A listwise reranker has the two ends alone. The oracle has them all: the best order of fewer
    candidates is a part of its order.
    """
    if trial.is_first_stage:
        return [FIRST_STAGE_DEPTH]
    deepest = min(trial.depth, longest)
    if not pointwise and not trial.is_oracle:
        return [FIRST_STAGE_DEPTH, deepest]
    steps = sorted(step for step in {*STEPS, *timed} if step < deepest)
    return [FIRST_STAGE_DEPTH, *steps, deepest]


def curve(rankings: Mapping[str, Ranking], questions: Questions, depths: Sequence[int]) -> Curve:
    """Per-query values at each depth, by the measures of `questions`. A failed query scores 0,
    except at depth 0, where nothing is called.

    Ranks below the cutoff of every measure decide nothing and are not handed on, which spares most
    of the work at depth 1000.
    """
    cutoff = lowest_rank(questions.measures, questions.dataset.min_relevance)
    orders = {
        request.query_id: _positions(rankings[request.query_id], request)
        for request in questions.requests
        if request.query_id in rankings
    }
    curve_at: dict[int, PerQuery] = {}
    for depth in depths:
        cut = {
            request.query_id: _ranking(
                request, orders[request.query_id] if depth else (), depth, cutoff
            )
            for request in questions.requests
            if not depth or request.query_id in orders
        }
        curve_at[depth] = measures.evaluate(
            cut, questions.qrels, questions.measures, questions.dataset.min_relevance
        )
    return curve_at


def rows(
    system: System, values_at: Mapping[int, Mapping[str, Sequence[float]]], query_ids: Sequence[str]
) -> Iterator[tuple[Any, ...]]:
    """Yield rows of the table `depths`: those of the system, depth, query, measure, value. The
    values are depth -> measure -> in the order of the queries.
    """
    for depth, by_measure in values_at.items():
        for measure, values in by_measure.items():
            for query_id, value in zip(query_ids, values, strict=True):
                yield *system, depth, query_id, measure, value


def _positions(ranking: Ranking, request: CandidateList) -> list[int]:
    """The first-stage positions of a ranking's documents, best first. The tie rule orders documents
    without regard to the others, so that leaving some out leaves the order of the rest as it is.
    """
    place = {doc_id: i for i, doc_id in enumerate(request.doc_ids)}
    return [place[doc_id] for doc_id in ranking.doc_ids]


def _ranking(
    request: CandidateList, order: Sequence[int], depth: int, cutoff: int | None
) -> Ranking:
    """The first `depth` candidates in the reranker's order, then the rest as they were; no more
    than `cutoff` of them.
    """
    reranked = [i for i in order if i < depth]
    positions = [*reranked, *range(len(reranked), len(request.doc_ids))][:cutoff]
    return Ranking(
        tuple(request.doc_ids[i] for i in positions),
        tuple(float(-rank) for rank in range(len(positions))),
    )


def lowest_rank(names: Sequence[str], min_relevance: int = 1) -> int | None:
    """Return the lowest rank that any of these measures looks at, None where one looks at all of
    them.
    """
    cutoffs = [measures.parse(name, min_relevance).params.get("cutoff") for name in names]
    if None in cutoffs:
        return None
    return max(map(int, cutoffs))
