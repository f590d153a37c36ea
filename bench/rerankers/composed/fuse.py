"""Several rerankers as one: by reciprocal ranks or weighted scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from bench.contract.request import CandidateList
from bench.core.note import Note
from bench.ranking.fusion import Contributions, rrf_contributions, weighted_contributions
from bench.ranking.tuning import FusionWeights
from bench.rerankers.composed.base import (
    Composite,
    aligned,
    failure_among,
    ordered,
    weights_note,
)
from bench.rerankers.composed.learned import fitted_weights, weights_facts
from bench.rerankers.composed.options import FuseOptions

if TYPE_CHECKING:
    from bench.contract.request import Outcome
    from bench.contract.stage import Component
    from bench.datasets.base import Dataset, Qrels


class Fuse(Composite):
    """Every part scores every document; their ranks or scores are added up per query. Weights that
    are tuned are equal until the queries have been scored once.
    """

    Options: ClassVar[type[FuseOptions]] = FuseOptions
    backend = "fuse"
    own_state: FusionWeights | None = None

    def __init__(self, options: FuseOptions, device: str = "cpu") -> None:
        super().__init__(options, device)
        self.learns = options.is_tuned
        self._qrels: Qrels = {}

    def hold(self, parts: Sequence[Component]) -> None:
        super().hold(parts)
        # every other sum depends on the other candidates of the query
        adds_scores = self.options.by == "weighted" and self.options.norm == "none"
        is_pointwise = all(part.reranker.pointwise for part in parts)
        self.pointwise = adds_scores and is_pointwise and not self.learns

    def over(self, dataset: Dataset) -> None:
        super().over(dataset)
        self._qrels = dataset.qrels

    def settings(self) -> dict[str, Any]:
        unused = {"norm"} if self.options.by == "rrf" else {"k"}
        if not self.learns:
            unused |= {"folds", "seed"}
        return {name: value for name, value in super().settings().items() if name not in unused}

    def facts(self) -> dict[str, object]:
        return weights_facts(self.own_state)

    def notes(self) -> Sequence[Note]:
        if self.own_state is None:
            return ()
        return [weights_note([part.name for part in self.parts], self.own_state)]

    def learn(
        self, requests: Sequence[CandidateList], outcomes: Sequence[Sequence[Outcome | None]]
    ) -> None:
        if self.learns:
            self.own_state = fitted_weights(
                requests, outcomes, self._contributions, self._qrels, self.options
            )

    def combine(
        self, requests: Sequence[CandidateList], outcomes: Sequence[Sequence[Outcome | None]]
    ) -> list[Outcome]:
        weights = self._weights()
        results: list[Outcome] = []
        for request, *scores in zip(requests, *outcomes, strict=True):
            failure = failure_among(self.parts, scores)
            if failure is not None:
                results.append(failure)
                continue
            parts = self._contributions(request, scores)
            sums = parts.summed(weights.of(request.query_id))
            results.append(aligned(parts.doc_ids, sums, request))
        return results

    def _weights(self) -> FusionWeights:
        if self.own_state is not None:
            return self.own_state
        if isinstance(self.options.weights, tuple):
            return FusionWeights(tuple(map(float, self.options.weights)))
        return FusionWeights((1.0,) * len(self.parts))

    def _contributions(self, request: CandidateList, scores: Sequence[Any]) -> Contributions:
        lists = [ordered(request.doc_ids, own) for own in scores]
        if self.options.by == "rrf":
            return rrf_contributions(lists, self.options.k)
        return weighted_contributions(lists, self.options.norm)
