"""What a first stage gives: per query, an ordered list of candidates, frozen, hashed, and shared by all rerankers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

from bench.datasets.base import Dataset, content_hash


@dataclass(frozen=True)
class QueryCandidates:
    """The candidates of one query, best first. `scores` are the first stage's own and never rise."""

    doc_ids: tuple[str, ...]
    scores: tuple[float, ...]


@dataclass(frozen=True)
class Candidates:
    """Every query's candidates at one depth. Queries for which the first stage found nothing hold an empty entry.

    `source` says how they were made (name, parameters, index and library version); `hash` covers query ids and ordered document ids.
    """

    by_query: Mapping[str, QueryCandidates]
    depth: int
    source: Mapping[str, Any]
    warnings: tuple[str, ...] = ()

    @cached_property
    def hash(self) -> str:
        return content_hash((query_id, *self.by_query[query_id].doc_ids) for query_id in sorted(self.by_query))


class FirstStage(Protocol):
    """Options in the constructor, work in `retrieve`."""

    def retrieve(self, dataset: Dataset, query_ids: Sequence[str], depth: int) -> Candidates:
        """Up to `depth` candidates for each of the queries."""
