"""The requests of a dataset's candidates, made when they are asked for: texts are in memory for the
chunk at work, not for every query.
"""

from __future__ import annotations

from collections.abc import Sequence

from bench.contract.candidates import Candidates
from bench.contract.request import CandidateList
from bench.core.late_sequence import LateSequence
from bench.datasets.base import Dataset


class Texts(LateSequence[int, str]):
    """The rendered texts of some documents, fetched when the first one is looked at, all at
    once.
    """

    def __init__(self, dataset: Dataset, doc_ids: Sequence[str]) -> None:
        super().__init__(range(len(doc_ids)))
        self._dataset = dataset
        self._doc_ids = doc_ids
        self._texts: list[str] | None = None

    def _item(self, place: int) -> str:
        if self._texts is None:
            self._texts = self._dataset.texts(self._doc_ids)
        return self._texts[place]


class Requests(LateSequence[str, CandidateList]):
    """One request for each of the queries that has candidates, in the order given, a new one at
    every access.
    """

    def __init__(self, dataset: Dataset, candidates: Candidates, query_ids: Sequence[str]) -> None:
        by_query = candidates.by_query
        super().__init__(
            [
                query_id
                for query_id in query_ids
                if query_id in by_query and candidates.length(query_id)
            ]
        )
        self._dataset = dataset
        self._candidates = candidates

    def _item(self, place: str) -> CandidateList:
        candidates = self._candidates.by_query[place]
        return CandidateList(
            place,
            self._dataset.queries[place],
            candidates.doc_ids,
            Texts(self._dataset, candidates.doc_ids),
            candidates.scores,
        )
