"""What every trial of a group is asked: the judged queries and a request for each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from bench.quality.query_values import places_of
from bench.ranking.order import Ranking

if TYPE_CHECKING:
    from bench.contract.request import CandidateList
    from bench.datasets.base import Dataset

    Keep = Callable[[Mapping[str, Ranking], "Questions"], None]


AT_ONCE = 512
"""Queries whose rankings are in memory together."""


@dataclass(frozen=True)
class Questions:
    """What every trial of a group is asked: the judged queries, and a request for each that has
    candidates.
    """

    dataset: Dataset
    query_ids: Sequence[str]
    requests: Sequence[CandidateList]
    measures: Sequence[str]

    @cached_property
    def qrels(self) -> dict[str, Mapping[str, int]]:
        return {query_id: self.dataset.qrels[query_id] for query_id in self.query_ids}

    @cached_property
    def places(self) -> Mapping[str, int]:
        """The place of each query among them."""
        return places_of(self.query_ids)

    @cached_property
    def longest(self) -> int:
        """The number of candidates of the query that has the most."""
        return max((len(request.doc_ids) for request in self.requests), default=0)

    def parts(self, size: int = AT_ONCE) -> Iterator[Questions]:
        """The same questions, `size` queries at a time. Requests stand in the order of the
        queries.
        """
        at = 0
        for start in range(0, len(self.query_ids), size):
            query_ids = self.query_ids[start : start + size]
            wanted = set(query_ids)
            requests = [
                request for request in self.requests[at : at + size] if request.query_id in wanted
            ]
            at += len(requests)
            yield Questions(self.dataset, query_ids, requests, self.measures)
