"""The baseline that needs nothing: how many of the query's words a document holds. A model that
does not beat it has learned nothing.

Score: the share of the query's distinct words (runs of letters with their marks, digits and
underscores, without regard to case) that are in the document; information retrieval knows the count
of them as the coordination level. Many documents tie; the one tie rule of the house orders them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING

from bench.contract.stage import Description, Placement
from bench.core.words import WORD, compiled, normal
from bench.rerankers.base import PointwiseReranker

if TYPE_CHECKING:
    from bench.contract.request import Scores


class WordOverlapReranker(PointwiseReranker):
    """The share of the query's distinct words that are in the document, from 0 to 1; 0 where the
    query has no word.
    """

    placement: Placement = "none"

    def describe(self) -> Description:
        return Description(
            "word-overlap",
            {"score": "share of the query's distinct words in the document", "words": WORD},
        )

    def score(self, pairs: Sequence[tuple[str, str]]) -> Scores:
        import numpy as np

        return np.array([overlap(query, document) for query, document in pairs], dtype=np.float64)


def overlap(query: str, document: str) -> float:
    """Return the share of the query's distinct words that are in the document."""
    query_words = words(query)
    if not query_words:
        return 0.0
    return len(query_words & words(document)) / len(query_words)


def words(text: str) -> frozenset[str]:
    """Return the distinct words of a text, case folded."""
    return frozenset(_find()(normal(text.casefold())))


@cache
def _find() -> Callable[[str], list[str]]:
    return compiled(WORD).findall
