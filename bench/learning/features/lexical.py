"""Features of words: BM25 of each field, lengths, idf, overlap and proximity.

Words are cut and stemmed as by the first stage bm25. Overlap and its idf-weighted form are shares
of the query's distinct words; proximity follows Tao and Zhai (SIGIR 2007), the smallest window, and
Metzler and Croft (SIGIR 2005), ordered bigrams.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from bench.learning.view import QueryView

if TYPE_CHECKING:
    from bench.learning.values import Columns


def bm25(view: QueryView) -> Columns:
    """Return the BM25 of the query in each field of the documents."""
    scores = view.words.field_scores(view.query, view.doc_ids)
    return {f"bm25.{field}": values for field, values in scores.items()}


def lengths(view: QueryView) -> Columns:
    """Return the logarithms of the words of each document and of the query."""
    import numpy as np

    document = np.log1p([len(tokens) for tokens in view.document_tokens])
    query = np.full(len(view.doc_ids), np.log1p(len(view.query_tokens)))
    return {"length.document": document, "length.query": query}


def idf(view: QueryView) -> Columns:
    """Return the idf of the query's words, summed up, and of those that a document has."""
    import numpy as np

    weights = view.idf
    matched = [sum(weights[word] for word in own) for own in view.matches]
    total = sum(weights.values())
    return {
        "idf.query": np.full(len(view.doc_ids), total),
        "idf.matched": np.array(matched, dtype=np.float64),
    }


def overlap(view: QueryView) -> Columns:
    """Return the share of the query's distinct words that a document has, plain and by idf."""
    import numpy as np

    weights = view.idf
    total = sum(weights.values()) or 1.0
    shares = [len(own) / max(len(weights), 1) for own in view.matches]
    weighted = [sum(weights[word] for word in own) / total for own in view.matches]
    return {
        "overlap.share": np.array(shares, dtype=np.float64),
        "overlap.idf": np.array(weighted, dtype=np.float64),
    }


def proximity(view: QueryView) -> Columns:
    """Return how close the query's words are to each other: their number over the smallest window
    that has all those of the document, and the share of the query's bigrams that it has.
    """
    import numpy as np

    pairs = set(pairwise(view.query_tokens))
    windows: list[float] = []
    bigrams: list[float] = []
    for places, words in zip(view.places, view.matches, strict=True):
        count = len(words)
        windows.append(count / smallest_window(places, count) if count > 1 else 0.0)
        adjacent = {
            (word, later)
            for (place, word), (next_place, later) in pairwise(places)
            if next_place == place + 1
        }
        bigrams.append(len(pairs & adjacent) / max(len(pairs), 1))
    return {
        "proximity.window": np.array(windows, dtype=np.float64),
        "proximity.bigrams": np.array(bigrams, dtype=np.float64),
    }


def smallest_window(places: Sequence[tuple[int, int]], count: int) -> int:
    """Return the length of the shortest stretch of a text that has `count` different words of
    these, which are (place, word) in the order of the text.
    """
    last: dict[int, int] = {}
    best = places[-1][0] - places[0][0] + 1
    for place, word in places:
        last[word] = place
        if len(last) == count:
            best = min(best, place - min(last.values()) + 1)
    return best
