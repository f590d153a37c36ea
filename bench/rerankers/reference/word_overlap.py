"""The baseline that needs nothing: how many of the query's words a document holds. A model that
does not beat it has learned nothing.

Score: the share of the query's distinct words (runs of letters with their marks, digits and
underscores, without regard to case) that are in the document; information retrieval knows the count
of them as the coordination level. Many documents tie; the one tie rule of the house orders them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from itertools import chain
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

        # queries share documents, and all pairs of a list their query
        words_of = {text: words(text) for text in set(chain.from_iterable(pairs))}
        shares = [overlap(words_of[query], words_of[document]) for query, document in pairs]
        return np.array(shares, dtype=np.float64)


def overlap(query: frozenset[str], document: frozenset[str]) -> float:
    """Return the share of the query's distinct words that are among the document's."""
    if not query:
        return 0.0
    return len(query & document) / len(query)


def words(text: str) -> frozenset[str]:
    """Return the distinct words of a text, case folded."""
    return frozenset(_find()(normal(text.casefold())))


@cache
def _find() -> Callable[[str], list[str]]:
    return compiled(WORD).findall
