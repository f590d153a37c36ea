"""A reranker's scores with those of the stage before: a reranker that errs seldom overrules a clear
first stage by a little less.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from bench.contract.request import CandidateList, Failure
from bench.core.note import Note
from bench.ranking.fusion import Contributions, weighted_contributions
from bench.ranking.tuning import FusionWeights
from bench.rerankers.composed.base import (
    Composite,
    aligned,
    failure_among,
    ordered,
    scores_before,
    weights_note,
)
from bench.rerankers.composed.learned import fitted_weights, weights_facts
from bench.rerankers.composed.options import BlendOptions

if TYPE_CHECKING:
    from bench.contract.request import Outcome
    from bench.contract.stage import Component
    from bench.datasets.base import Dataset, Qrels

BEFORE = "stage before"
"""What notes call the scores that the reranker's are added to."""


class Blend(Composite):
    """weight times the reranker's score and 1 - weight times the score of the stage before, both
    normalised per query. A weight that is tuned is 0.5 until the queries have been scored once.
    """

    Options: ClassVar[type[BlendOptions]] = BlendOptions
    backend = "blend"
    own_state: FusionWeights | None = None
    reads_scores = True

    def __init__(self, options: BlendOptions, device: str = "cpu") -> None:
        super().__init__(options, device)
        self.learns = options.is_tuned
        self._qrels: Qrels = {}

    def hold(self, parts: Sequence[Component]) -> None:
        super().hold(parts)
        is_pointwise = self.options.norm == "none" and not self.learns
        self.pointwise = is_pointwise and parts[0].reranker.pointwise

    def over(self, dataset: Dataset) -> None:
        super().over(dataset)
        self._qrels = dataset.qrels

    def settings(self) -> dict[str, Any]:
        settings = super().settings()
        if not self.learns:
            del settings["folds"], settings["seed"]
        return settings

    def facts(self) -> dict[str, object]:
        return weights_facts(self.own_state)

    def notes(self) -> Sequence[Note]:
        if self.own_state is None:
            return ()
        return [weights_note([self.parts[0].name, BEFORE], self.own_state)]

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
        results: list[Outcome] = []
        for request, outcome in zip(requests, outcomes[0], strict=True):
            if isinstance(outcome, Failure):
                results.append(failure_among(self.parts, [outcome]) or outcome)
                continue
            parts = self._contributions(request, [outcome])
            sums = parts.summed(self._weights(request.query_id))
            results.append(aligned(parts.doc_ids, sums, request))
        return results

    def _weights(self, query_id: str) -> Sequence[float]:
        if self.own_state is not None:
            return self.own_state.of(query_id)
        weight = 0.5
        if not self.learns:
            weight = float(self.options.weight)
        return weight, 1 - weight

    def _contributions(self, request: CandidateList, scores: Sequence[Any]) -> Contributions:
        lists = [ordered(request.doc_ids, own) for own in (*scores, scores_before(request))]
        return weighted_contributions(lists, self.options.norm)
