"""The weights of a fusion that were chosen on queries of other folds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from bench.contract.request import CandidateList, Failure
from bench.datasets.folds import folds
from bench.ranking.fusion import Contributions
from bench.ranking.tuning import FusionWeights, cross_fitted

if TYPE_CHECKING:
    from bench.contract.request import Outcome
    from bench.datasets.base import Qrels


class FoldOptions(Protocol):
    """What options say about folds."""

    folds: int
    seed: int


def fitted_weights(
    requests: Sequence[CandidateList],
    outcomes: Sequence[Sequence[Outcome | None]],
    contributions: Callable[[CandidateList, Sequence[Any]], Contributions],
    qrels: Qrels,
    options: FoldOptions,
) -> FusionWeights:
    """Return weights by nDCG@10, cross-fitted over all queries that every part has answered. Raises
    DataError where they are too few for the folds.
    """
    queries: dict[str, Contributions] = {}
    texts: dict[str, str] = {}
    for request, *scores in zip(requests, *outcomes, strict=True):
        if not any(isinstance(own, Failure) for own in scores):
            queries[request.query_id] = contributions(request, scores)
            texts[request.query_id] = request.query
    fold_of = folds(texts, options.folds, options.seed)
    return cross_fitted(queries, qrels, fold_of, options.folds)


def weights_facts(weights: FusionWeights | None) -> dict[str, object]:
    """Return weights as a record has them, nothing where none were chosen."""
    if weights is None:
        return {}
    return {"weights": {"overall": weights.overall, "by_fold": weights.by_fold}}
