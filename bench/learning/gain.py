"""nDCG@10 of one query's scores, and how much of it a feature is worth.

The same definition as in the measures: linear gains, log2 discount, an ideal over all judgments.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from bench.learning.values import Scores


CUTOFF = 10


@dataclass(frozen=True)
class Graded:
    """One query's documents with their grades, and the best DCG@10 that its judgments allow."""

    grades: Scores
    ideal: float
    tie_order: NDArray[np.intp]
    """The places of the documents by falling id: the order of equal scores."""

    def ndcg(self, scores: Scores) -> float:
        """Return nDCG@10 of the documents in the order of these scores; 0 where nothing is
        relevant.
        """
        import numpy as np

        if self.ideal == 0:
            return 0.0
        order = np.argsort(-scores[self.tie_order], kind="stable")[:CUTOFF]
        gains = self.grades[self.tie_order[order]]
        return float(gains @ _discounts()[: len(gains)]) / self.ideal


def graded(doc_ids: Sequence[str], judgments: Mapping[str, int]) -> Graded:
    """Return the grades of documents; 0 for one without a judgment or below 0."""
    import numpy as np

    grades = np.array([max(judgments.get(doc_id, 0), 0) for doc_id in doc_ids], dtype=np.float64)
    best = sorted((max(grade, 0) for grade in judgments.values()), reverse=True)[:CUTOFF]
    ideal = float(np.array(best, dtype=np.float64) @ _discounts()[: len(best)])
    order = sorted(range(len(doc_ids)), key=doc_ids.__getitem__, reverse=True)
    return Graded(grades, ideal, np.array(order, dtype=np.intp))


@cache
def _discounts() -> Scores:
    import numpy as np

    discounts: Scores = 1.0 / np.log2(np.arange(2, CUTOFF + 2))
    return discounts
