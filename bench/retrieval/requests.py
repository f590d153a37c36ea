"""The requests of a dataset's candidates, made when they are asked for: texts are in memory for the
chunk at work, not for every query.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import overload

from bench.contract.candidates import Candidates
from bench.contract.request import CandidateList
from bench.datasets.base import Dataset


class Texts(Sequence[str]):
    """The rendered texts of some documents, fetched when the first one is looked at, all at
    once.
    """

    def __init__(self, dataset: Dataset, doc_ids: Sequence[str]) -> None:
        self._dataset, self._doc_ids = dataset, doc_ids
        self._texts: list[str] | None = None

    def __len__(self) -> int:
        return len(self._doc_ids)

    @overload
    def __getitem__(self, at: int) -> str: ...
    @overload
    def __getitem__(self, at: slice) -> list[str]: ...
    def __getitem__(self, at: int | slice) -> str | list[str]:
        if self._texts is None:
            self._texts = self._dataset.texts(self._doc_ids)
        return self._texts[at]


class Requests(Sequence[CandidateList]):
    """One request for each of the queries that has candidates, in the order given, a new one at
    every access.
    """

    def __init__(self, dataset: Dataset, candidates: Candidates, query_ids: Sequence[str]) -> None:
        self._dataset, self._candidates = dataset, candidates
        self._query_ids = [
            query_id
            for query_id in query_ids
            if (found := candidates.by_query.get(query_id)) and found.doc_ids
        ]

    def __len__(self) -> int:
        return len(self._query_ids)

    @overload
    def __getitem__(self, at: int) -> CandidateList: ...
    @overload
    def __getitem__(self, at: slice) -> list[CandidateList]: ...
    def __getitem__(self, at: int | slice) -> CandidateList | list[CandidateList]:
        if isinstance(at, slice):
            return [self._request(query_id) for query_id in self._query_ids[at]]
        return self._request(self._query_ids[at])

    def _request(self, query_id: str) -> CandidateList:
        candidates = self._candidates.by_query[query_id]
        return CandidateList(
            query_id,
            self._dataset.queries[query_id],
            candidates.doc_ids,
            Texts(self._dataset, candidates.doc_ids),
            candidates.scores,
        )
