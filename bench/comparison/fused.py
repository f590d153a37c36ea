"""The order that needs no reranker and has all first stages: a fusion of their stored scores, with
weights that are tuned on one half of the queries and serve the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from bench.contract.candidates import Compact, QueryCandidates
from bench.core.errors import DataError
from bench.datasets.folds import folds
from bench.quality import measures
from bench.ranking.fusion import Contributions, Norm, weighted_contributions
from bench.ranking.order import Ranking
from bench.ranking.tuning import FusionWeights, cross_fitted
from bench.records.judgments import qrels_in
from bench.records.rows import Row
from bench.records.run import Run
from bench.records.scores import read_scores
from bench.rerankers.reference.fixed import in_order

HALVES = 2
NORM: Norm = "z-score"
NOTHING = QueryCandidates((), ())
Lists = Mapping[str, QueryCandidates]
"""Query id -> the candidates of a first stage."""


@dataclass(frozen=True)
class FusedSearch:
    """A sum of z-scores of first stages. `values` are per query, in the order of the queries, each
    by the weights of the other half.
    """

    names: Sequence[str]
    weights: FusionWeights
    values: Sequence[float]

    @property
    def mean(self) -> float:
        return sum(self.values) / len(self.values)


def fused_search(
    run: Run, firsts: Sequence[Row], measure: str, query_ids: Sequence[str]
) -> FusedSearch | None:
    """Return the tuned fusion of first stages of one dataset; None where there are fewer than two
    different ones with stored scores, or too few queries for two halves.
    """
    by_name = {row.trial.first_stage: row for row in firsts}
    if len(by_name) < 2:
        return None
    lists: dict[str, Lists] = {name: Compact(_lists(run, row)) for name, row in by_name.items()}
    if not all(lists.values()):
        return None
    depths = {name: row.trial.depth for name, row in by_name.items()}
    lists = _of_other_searches(lists, depths, query_ids)
    if len(lists) < 2:
        return None
    texts = dict(zip(run.queries["query"], run.queries["text"], strict=True))
    try:
        fold_of = folds({name: str(texts.get(name, name)) for name in query_ids}, HALVES, run.seed)
    except DataError:
        return None
    queries: dict[str, Contributions] = {}
    for query_id in query_ids:
        own = [of_stage.get(query_id, NOTHING) for of_stage in lists.values()]
        queries[query_id] = weighted_contributions(own, NORM)
    qrels = _qrels(run, firsts[0].trial.dataset, query_ids)
    weights = cross_fitted(queries, qrels, fold_of, HALVES)
    rankings: dict[str, Ranking] = {}
    for query_id, contributions in queries.items():
        if contributions.doc_ids:
            order = contributions.ranking(weights.of(query_id))
            rankings[query_id] = Ranking(order.doc_ids, order.scores)
    by_query = measures.evaluate(rankings, qrels, [measure])[measure]
    return FusedSearch(list(lists), weights, [by_query[query_id] for query_id in query_ids])


def _of_other_searches(
    lists: Mapping[str, Lists], depths: Mapping[str, int], query_ids: Sequence[str]
) -> dict[str, Lists]:
    """Return the lists that are not the beginnings of another's: the search of a pipeline that
    keeps fewer documents is the same search.
    """
    others: dict[str, Lists] = {}
    for name in sorted(lists, key=lambda name: -depths[name]):
        if not any(_begins(lists[name], deeper, query_ids) for deeper in others.values()):
            others[name] = lists[name]
    return {name: own for name, own in lists.items() if name in others}


def _begins(lists: Lists, deeper: Lists, query_ids: Sequence[str]) -> bool:
    """Return whether each list is the beginning of the deeper one."""
    for query_id in query_ids:
        own = lists.get(query_id, NOTHING).doc_ids
        if own != deeper.get(query_id, NOTHING).doc_ids[: len(own)]:
            return False
    return True


def _lists(run: Run, row: Row) -> Iterator[tuple[str, QueryCandidates]]:
    """Yield a first stage's candidates in its order, with its scores, or with n, n-1, ..., 1 where
    these say another order; nothing where the run keeps no scores.
    """
    import numpy as np

    scores = read_scores(run.folder, row.trial.id)
    if not scores:
        return
    for query_id, order in run.ranking(row.trial.id).items():
        own = scores[query_id] if query_id in scores else QueryCandidates((), ())
        by_id = dict(zip(own.doc_ids, own.scores, strict=True))
        values = tuple(by_id.get(doc_id, np.nan) for doc_id in order.doc_ids)
        if not in_order(order.doc_ids, np.asarray(values, dtype=np.float64)):
            values = tuple(float(place) for place in range(len(order.doc_ids), 0, -1))
        yield query_id, QueryCandidates(order.doc_ids, values)


def _qrels(run: Run, dataset: str, query_ids: Sequence[str]) -> dict[str, dict[str, int]]:
    judged = run.judgments
    qrels = qrels_in(judged[judged["dataset"] == dataset])
    return {query_id: qrels.get(query_id, {}) for query_id in query_ids}
