"""The one place where scores become an order.

Tie rule: score descending, then doc_id descending, as trec_eval does (Cabanac et al., CLEF 2010, discuss why the rule matters). The
providers behind ir_measures break ties in different ways, so that one tied run can get nDCG@10 of 0.63 and RR@10 of 1.0 in one call:
everything after this module sees ranks, never raw ties.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

TIE_RULE = "score descending, then doc_id descending"


@dataclass(frozen=True)
class Ranking:
    """One query's documents, best first, with the raw scores in the same order. `ties` counts documents that share another's score."""

    doc_ids: tuple[str, ...]
    scores: tuple[float, ...]
    ties: int = 0

    def strict_scores(self) -> list[float]:
        """Strictly falling stand-ins for the scores (n, n-1, ..., 1), which every provider ranks alike."""
        return [float(value) for value in range(len(self.doc_ids), 0, -1)]


def rank(doc_ids: Sequence[str], scores: Sequence[float]) -> Ranking:
    """Order one query's documents by the tie rule. Raises ValueError for a wrong count or a score that is not finite."""
    if len(doc_ids) != len(scores):
        raise ValueError(f"{len(scores)} scores for {len(doc_ids)} documents")
    values = [float(score) for score in scores]
    for doc_id, value in zip(doc_ids, values, strict=True):
        if not math.isfinite(value):
            raise ValueError(f"score {value} for document '{doc_id}'")
    order = sorted(range(len(values)), key=lambda i: doc_ids[i], reverse=True)
    order.sort(key=lambda i: values[i], reverse=True)  # stable: equal scores keep the falling doc_ids
    ordered = tuple(values[i] for i in order)
    return Ranking(tuple(doc_ids[i] for i in order), ordered, count_ties(ordered))


def count_ties(ordered: Sequence[float]) -> int:
    """How many of these ordered scores stand equal to a neighbour."""
    last = len(ordered) - 1
    return sum(1 for i, value in enumerate(ordered) if (i > 0 and ordered[i - 1] == value) or (i < last and ordered[i + 1] == value))


def strictly_falling(ordered: Sequence[float]) -> list[float]:
    """Scores that keep their order in trec_eval, which reads them in single precision and would tie what that precision cannot tell apart.

    Each score is as given, or the next smaller single-precision number below its predecessor.
    """
    import numpy as np

    falling: list[float] = []
    bound = np.float32(np.inf)
    for value in ordered:
        single = np.float32(value)
        falling.append(value if single < bound else float(np.nextafter(bound, np.float32(-np.inf))))
        bound = np.float32(falling[-1])
    return falling
