"""A reranker's scores with those of the stage before: a reranker that errs seldom overrules a clear
first stage by a little less.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from bench.contract.request import CandidateList
from bench.ranking.fusion import Contributions
from bench.ranking.options import normalised_contributions
from bench.ranking.tuning import FusionWeights
from bench.rerankers.composed.base import ordered, scores_before
from bench.rerankers.composed.options import BlendOptions
from bench.rerankers.composed.weighted import Weighted

if TYPE_CHECKING:
    from bench.contract.stage import Component

BEFORE = "stage before"
"""What notes call the scores that the reranker's are added to."""


class Blend(Weighted):
    """weight times the reranker's score and 1 - weight times the score of the stage before, both
    normalised per query. A weight that is tuned is 0.5 until the queries have been scored once.
    """

    Options: ClassVar[type[BlendOptions]] = BlendOptions
    backend = "blend"
    reads_scores = True

    def hold(self, parts: Sequence[Component]) -> None:
        super().hold(parts)
        is_pointwise = self.adds_scores and not self.learns
        self.pointwise = is_pointwise and parts[0].reranker.pointwise

    def settings(self) -> dict[str, Any]:
        settings = super().settings()
        if not self.learns:
            del settings["folds"], settings["seed"]
        return settings

    @property
    def weighted_names(self) -> Sequence[str]:
        return [self.parts[0].name, BEFORE]

    def fixed_weights(self) -> FusionWeights:
        weight = 0.5
        if not self.learns:
            weight = float(self.options.weight)
        return FusionWeights((weight, 1 - weight))

    def contributions(self, request: CandidateList, scores: Sequence[Any]) -> Contributions:
        lists = [ordered(request.doc_ids, own) for own in (*scores, scores_before(request))]
        return normalised_contributions(lists, self.options.norm, self.options.maps)
