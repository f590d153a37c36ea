"""Rules by the scores of the stage before, over all queries at once: which queries a stage reranks,
and how many documents a cut hands on. The same numbers as `skip` and `cut` of a suite.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from bench.composition.names import number
from bench.core.errors import BenchError
from bench.datasets.folds import folds

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Whole = NDArray[np.int64]
    Values = NDArray[np.float64]
    Flags = NDArray[np.bool_]

By = Literal["margin_below", "top_below", "margin_quantile", "top_quantile"]
"""What a rule goes by: the best score less the second or the best score, below a number or below a
quantile of the queries of other folds.
"""
RULES: Sequence[By] = ("margin_below", "top_below", "margin_quantile", "top_quantile")
FOLDS, SEED = 5, 42
"""How queries are parted for a quantile where a suite does not say."""


class Limits(Protocol):
    """What a cut by score goes by."""

    @property
    def min_score(self) -> float | None: ...

    @property
    def within(self) -> float | None: ...


@dataclass(frozen=True)
class SkipRule:
    """Says which queries are reranked, by the scores of the stage before."""

    by: By
    value: float
    folds: int = FOLDS
    seed: int = SEED

    def __str__(self) -> str:
        parts = [f"{self.by} {number(self.value)}"]
        if self.is_learned and self.folds != FOLDS:
            parts.append(f"folds {self.folds}")
        if self.is_learned and self.seed != SEED:
            parts.append(f"seed {self.seed}")
        return " ".join(parts)

    @property
    def is_learned(self) -> bool:
        return self.by in ("margin_quantile", "top_quantile")

    def asked(
        self, scores: Values, counts: Whole, usable: Flags, texts: Sequence[str] | None
    ) -> Flags:
        """Return which queries are reranked. `scores` are of shape (queries, places), best first;
        `counts` are documents per query; `usable` are the queries that have not failed. Raises
        BenchError for a quantile over queries without texts.
        """
        import numpy as np

        values = np.full(len(scores), np.nan)
        if scores.shape[1] > 1:
            has_two = counts > 1
            values[has_two] = scores[has_two, 0]
            if self.by in ("margin_below", "margin_quantile"):
                values[has_two] = scores[has_two, 0] - scores[has_two, 1]
        limits = np.full(len(scores), self.value)
        if self.is_learned:
            limits = self._quantiles(values, (counts > 0) & usable, texts)
        # a query of which nothing can be ordered has no value, and is never asked
        return np.asarray(values < limits)

    def _quantiles(self, values: Values, usable: Flags, texts: Sequence[str] | None) -> Values:
        """Return the quantile that serves each query: that of the queries of the other folds."""
        import numpy as np

        if texts is None:
            raise BenchError("the run keeps no texts of its queries, which part them into folds")
        places = np.flatnonzero(usable)
        fold_of = folds(
            {str(place): texts[place] for place in places.tolist()}, self.folds, self.seed
        )
        fold = np.full(len(values), -1)
        fold[places] = [fold_of[str(place)] for place in places]
        limits = np.full(len(values), np.inf)
        for own in range(self.folds):
            others = values[(fold >= 0) & (fold != own) & ~np.isnan(values)]
            limits[fold == own] = 0.0
            if len(others):
                limits[fold == own] = np.quantile(others, self.value)
        return limits


def counted_on(scores: Values, seen: Flags, limits: Limits) -> Whole:
    """Return how many documents of each query are not below the limits, one at least where there
    are any. `seen` are the places that hold a document.
    """
    import numpy as np

    floors = np.full(len(scores), -np.inf)
    if limits.min_score is not None:
        floors = np.maximum(floors, limits.min_score)
    if limits.within is not None and scores.shape[1]:
        floors = np.maximum(floors, scores[:, 0] - limits.within)
    is_above = np.greater_equal(scores, floors[:, None], where=seen, out=np.zeros_like(seen))
    return np.asarray(is_above.sum(axis=1))
