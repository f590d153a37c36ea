"""What a service answered, and the scores in it: trusted only once they are complete, finite, and each document has exactly one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bench.errors import RerankerError
from bench.rerankers.base import is_amount


@dataclass(frozen=True)
class Answer:
    """What a service said: (position of a document in the request, its score), in any order, and what it charged. A model that writes its
    answer also wrote `tokens_out`, and its answer may have needed `repairs`."""

    scores: Sequence[tuple[Any, Any]]
    billed_units: float = 0.0
    tokens: int = 0
    tokens_out: int = 0
    repairs: int = 0

    def refuse_impossible(self, service: str) -> None:
        """Raise RerankerError for an amount that no answer costs: it would stand in every sum and bill after it."""
        for name in ("billed_units", "tokens", "tokens_out"):
            if not is_amount(amount := getattr(self, name)):
                raise RerankerError(f"{service}: the answer reports an impossible usage: {name} {amount!r:.40}")

    def in_order(self, count: int, service: str) -> list[float]:
        """One finite score per document, in the order of the documents. Raises RerankerError for anything else: fewer scores than documents
        are no ranking of them."""
        found: dict[int, float] = {}
        for position, score in self.scores:
            if not isinstance(position, int) or isinstance(position, bool) or not 0 <= position < count:
                raise RerankerError(f"{service}: the answer scores document {position!r} of {count}")
            if position in found:
                raise RerankerError(f"{service}: the answer scores document {position} twice")
            if not isinstance(score, int | float) or not math.isfinite(score):
                raise RerankerError(f"{service}: the answer gives document {position} the score {score!r}")
            found[position] = float(score)
        if len(found) != count:
            raise RerankerError(f"{service}: the answer has {len(found)} scores for {count} documents")
        return [found[position] for position in range(count)]
