"""A stage that orders nothing: it shortens what the next one gets, by count or by score."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, ClassVar

from bench.contract.identity import Identity
from bench.contract.request import CandidateList, Usage
from bench.contract.stage import Description, Placement
from bench.rerankers.base import BaseReranker
from bench.rerankers.composed.base import order_before
from bench.rerankers.composed.options import CutOptions

if TYPE_CHECKING:
    from bench.contract.request import Outcome


class Cut(BaseReranker):
    """Hands on the documents whose scores, as the stage before gave them, are high enough; the best
    one always.
    """

    Options: ClassVar[type[CutOptions]] = CutOptions
    placement: Placement = "none"
    reads_texts = False
    reads_scores = True
    only_shortens = True

    def identity(self) -> Identity:
        return Identity.of("cut", self.options)

    def describe(self) -> Description:
        return Description("cut", self.identity().own_fields())

    def rerank(self, requests: Sequence[CandidateList]) -> list[Outcome]:
        return [order_before(request) for request in requests]

    def expected_usage(
        self, requests: Sequence[CandidateList], tokens: Callable[[str], int]
    ) -> Usage:
        return Usage()

    def hands_on(self, scores: Sequence[float]) -> int | None:
        options = self.options
        if (options.min_score is None and options.within is None) or not scores:
            return None
        limits = [limit for limit in (options.min_score, self._floor(scores)) if limit is not None]
        count = sum(score >= max(limits) for score in scores)
        return max(1, count)

    def _floor(self, scores: Sequence[float]) -> float | None:
        if self.options.within is None:
            return None
        return scores[0] - float(self.options.within)
