"""Several rerankers as one: by reciprocal ranks or weighted scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from bench.contract.request import CandidateList
from bench.ranking.fusion import Contributions
from bench.ranking.tuning import FusionWeights
from bench.rerankers.composed.base import ordered
from bench.rerankers.composed.options import FuseOptions
from bench.rerankers.composed.weighted import Weighted

if TYPE_CHECKING:
    from bench.contract.stage import Component


class Fuse(Weighted):
    """Every part scores every document; their ranks or scores are added up per query. Weights that
    are tuned are equal until the queries have been scored once.
    """

    Options: ClassVar[type[FuseOptions]] = FuseOptions
    backend = "fuse"

    def hold(self, parts: Sequence[Component]) -> None:
        super().hold(parts)
        # every other sum depends on the other candidates of the query
        adds_scores = self.options.by == "weighted" and self.adds_scores
        is_pointwise = all(part.reranker.pointwise for part in parts)
        self.pointwise = adds_scores and is_pointwise and not self.learns

    def settings(self) -> dict[str, Any]:
        unused = self.options.unused
        return {name: value for name, value in super().settings().items() if name not in unused}

    @property
    def weighted_names(self) -> Sequence[str]:
        return [part.name for part in self.parts]

    def fixed_weights(self) -> FusionWeights:
        weights: FusionWeights = self.options.fixed_weights(len(self.parts))
        return weights

    def contributions(self, request: CandidateList, scores: Sequence[Any]) -> Contributions:
        lists = [ordered(request.doc_ids, own) for own in scores]
        contributions: Contributions = self.options.contributions(lists)
        return contributions
