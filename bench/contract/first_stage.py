"""What a first stage is: it finds candidates for queries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from bench.contract.candidates import Candidates
from bench.datasets.base import Dataset


class FirstStage(Protocol):
    """Options in the constructor, work in `retrieve`."""

    def retrieve(self, dataset: Dataset, query_ids: Sequence[str], depth: int) -> Candidates:
        """Up to `depth` candidates for each of the queries."""
