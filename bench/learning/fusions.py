"""The fusions that a learned stage is compared with: of the same stages, without training (RRF) and
with tuned weights (a sum of z-scores). Most of what such a stage gains may be theirs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench.contract.candidates import QueryCandidates
from bench.contract.learned import FusionOrders
from bench.datasets.base import Qrels
from bench.learning.matrix import Example
from bench.ranking import tuning
from bench.ranking.fusion import Contributions, rrf, weighted_contributions
from bench.ranking.order import rank
from bench.ranking.tuning import FusionWeights


def lists_of(example: Example) -> list[QueryCandidates]:
    """Return what each stage says of a query's documents as a list, best first, without those that
    the stage did not return.
    """
    import numpy as np

    lists: list[QueryCandidates] = []
    for scores in example.signals.values():
        places = np.flatnonzero(~np.isnan(scores))
        ranking = rank([example.doc_ids[place] for place in places.tolist()], scores[places])
        lists.append(QueryCandidates(ranking.doc_ids, ranking.scores))
    return lists


def weights_of(
    examples: Sequence[Example], qrels: Qrels, fold_of: Mapping[str, int], count: int
) -> FusionWeights:
    """Return tuned weights, cross-fitted in `count` folds; without folds those of all queries."""
    queries = {example.query_id: _contributions(example) for example in examples}
    if not fold_of:
        return tuning.fitted(queries, qrels)
    return tuning.cross_fitted(queries, qrels, fold_of, count)


def untuned(examples: Sequence[Example]) -> FusionOrders:
    """Return the reciprocal rank fusion of each query's lists."""
    orders = {example.query_id: rrf(lists_of(example)) for example in examples}
    return FusionOrders("rrf", orders)


def tuned(examples: Sequence[Example], weights: FusionWeights) -> FusionOrders:
    """Return the weighted fusion of each query's lists, by the weights that serve the query."""
    orders = {
        example.query_id: _contributions(example).ranking(weights.of(example.query_id))
        for example in examples
    }
    return FusionOrders("tuned", orders, weights.by_fold or (weights.overall,))


def _contributions(example: Example) -> Contributions:
    return weighted_contributions(lists_of(example), "z-score")
