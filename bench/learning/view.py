"""One query with its candidates, as features see it: scores of other stages, words, fields. What
several features need is worked out once, when the first of them looks at it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from bench.learning.words import WordIndex

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from bench.learning.values import Scores, Words


@dataclass(frozen=True)
class QueryView:
    """One query and its documents, in the order of the stage before.

    `before` are the scores of that stage; `first` those of the first stage, where others came
    between; `stages` those of further first stages by name, NaN where one did not return a
    document; `cosine` those of the bi-encoder; `numbers` numeric fields by name, NaN where a
    document lacks one.
    """

    query: str
    doc_ids: Sequence[str]
    documents: Sequence[Mapping[str, str]]
    before: Scores
    words: WordIndex
    first: Scores | None
    stages: Mapping[str, Scores]
    cosine: Scores | None
    numbers: Mapping[str, Scores]

    @cached_property
    def before_ranks(self) -> Scores:
        """The ranks of the list as it was handed over, from 1."""
        import numpy as np

        return np.arange(1, len(self.doc_ids) + 1, dtype=np.float64)

    @cached_property
    def query_tokens(self) -> Sequence[int]:
        """The words of the query, by number."""
        return self.words.query_tokens(self.query)

    @cached_property
    def idf(self) -> Mapping[int, float]:
        """The idf of each distinct word of the query."""
        return {word: self.words.idf(word) for word in dict.fromkeys(self.query_tokens)}

    @cached_property
    def document_tokens(self) -> Sequence[NDArray[np.int32]]:
        """The words of each document, by number."""
        pairs = zip(self.doc_ids, self.documents, strict=True)
        return [self.words.document_tokens(doc_id, fields) for doc_id, fields in pairs]

    @cached_property
    def places(self) -> Sequence[Sequence[tuple[int, int]]]:
        """Where each document has words of the query: (place, word), in the order of the text."""
        import numpy as np

        wanted = np.array(sorted(self.idf), dtype=np.int32)
        places: list[list[tuple[int, int]]] = []
        for tokens in self.document_tokens:
            at = np.flatnonzero(np.isin(tokens, wanted))
            places.append(list(zip(at.tolist(), tokens[at].tolist(), strict=True)))
        return places

    @cached_property
    def matches(self) -> Sequence[Words]:
        """The distinct words of the query that each document has."""
        return [frozenset(word for _, word in places) for places in self.places]

    @property
    def signals(self) -> Mapping[str, Scores]:
        """The scores that a fusion of the same stages has at hand, by name."""
        signals: dict[str, Scores] = {"before": self.before}
        if self.first is not None:
            signals["first"] = self.first
        signals |= self.stages
        if self.cosine is not None:
            signals["cosine"] = self.cosine
        return signals
