"""The words of a collection: numbers, document frequencies, and a BM25 index per field. All of it
comes from indexes of the first stage bm25, which the cache keeps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from bench.core.errors import DataError
from bench.datasets.base import Dataset, render
from bench.datasets.options import template_fields
from bench.retrieval.bm25 import BM25
from bench.retrieval.options import BM25Options

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from bench.learning.values import Scores

UNKNOWN = -1
"""The number of the first word of a query that no document has; others have lower ones."""
NOWHERE = -(2**31)
"""The number of a word of a document that the index lacks; no query has it."""


class WordIndex:
    """Words of one collection, cut and stemmed in one way. Documents' words stay in memory when
    they were looked at once, as in an index.
    """

    def __init__(
        self, dataset: Dataset, options: BM25Options, fields: Sequence[str] | None
    ) -> None:
        import numpy as np

        self._dataset = dataset
        self._options = options
        opened = BM25(options, Path()).index_of(dataset)
        self._tokens = opened.analyzer.tokens
        self._vocabulary: Mapping[str, int] = opened.index.scorer.vocab_dict
        starts = opened.index.scorer.scores["indptr"]
        self._frequencies = np.diff(np.asarray(starts))
        self._documents = len(opened.index.doc_ids)
        self._fields = fields or template_fields(dataset.template)
        self._by_field = dict(self._indexes())
        self._places = {doc_id: place for place, doc_id in enumerate(opened.index.doc_ids)}
        self._known: dict[str, NDArray[np.int32]] = {}

    def _indexes(self) -> list[tuple[str, BM25Field]]:
        """Return an index per field; none of one in which no document has a word."""
        indexes: list[tuple[str, BM25Field]] = []
        for field in self._fields:
            of_field = replace(self._dataset, template=f"{{{field}}}")
            try:
                indexes.append((field, BM25Field(of_field, self._options)))
            except DataError:
                continue
        return indexes

    def idf(self, word: int) -> float:
        """Return ln(1 + (N - n + 0.5) / (n + 0.5)) for a word that n of N documents have."""
        import numpy as np

        count = 0
        if 0 <= word < len(self._frequencies):
            count = int(self._frequencies[word])
        return float(np.log1p((self._documents - count + 0.5) / (count + 0.5)))

    def query_tokens(self, query: str) -> Sequence[int]:
        """Return the words of a query by number; each that no document has gets one below 0."""
        unknown: dict[str, int] = {}
        numbers: list[int] = []
        for token in self._tokens(query):
            number = self._vocabulary.get(token)
            if number is None:
                number = unknown.setdefault(token, UNKNOWN - len(unknown))
            numbers.append(number)
        return numbers

    def document_tokens(self, doc_id: str, fields: Mapping[str, str]) -> NDArray[np.int32]:
        """Return the words of a document by number, in order."""
        import numpy as np

        tokens = self._known.get(doc_id)
        if tokens is None:
            words = self._tokens(render(self._dataset.template, fields))
            known = [self._vocabulary.get(word, NOWHERE) for word in words]
            tokens = np.array(known, dtype=np.int32)
            self._known[doc_id] = tokens
        return tokens

    def field_scores(self, query: str, doc_ids: Sequence[str]) -> Mapping[str, Scores]:
        """Return the BM25 of the documents in each field."""
        places = [self._places[doc_id] for doc_id in doc_ids]
        tokens = self._tokens(query)
        return {field: index.scores(tokens, places) for field, index in self._by_field.items()}


class BM25Field:
    """The BM25 index of one field of a collection."""

    def __init__(self, dataset: Dataset, options: BM25Options) -> None:
        self._scorer = BM25(options, Path()).index_of(dataset).index.scorer

    def scores(self, tokens: Sequence[str], places: Sequence[int]) -> Scores:
        """Return the scores of the documents at these places of the index."""
        import numpy as np

        vocabulary = self._scorer.vocab_dict
        known = [vocabulary[token] for token in tokens if token in vocabulary]
        if not known:
            return np.zeros(len(places), dtype=np.float64)
        scores = self._scorer.get_scores_from_ids(known)
        return np.asarray(scores[places], dtype=np.float64)
