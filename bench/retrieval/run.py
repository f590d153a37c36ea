"""Candidates from a TREC run file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from bench.contract.candidates import Candidates
from bench.core.digest import file_digest
from bench.core.paths import expanded
from bench.datasets.base import Dataset
from bench.ranking.trec import read_content
from bench.retrieval.base import BaseFirstStage
from bench.retrieval.options import RunOptions, run_name


class RunFile(BaseFirstStage):
    """Candidates from a TREC run file."""

    meaning = "a run file of a search engine"
    Options: ClassVar[type[RunOptions]] = RunOptions
    reads_texts = False
    is_given = True

    def __init__(self, options: RunOptions, base_dir: Path) -> None:
        super().__init__(options, base_dir)
        self.path = base_dir / expanded(options.path)
        self.name = options.name or f"run:{run_name(self.path.name)}"

    def check(self, dataset: Dataset | None, depth: int) -> Candidates | None:
        """Read the file; where the dataset is at hand, return its judged queries' candidates.
        Raises DataError as `retrieve` does.
        """
        if dataset is None:
            read_content(self.path)
            return None
        return self.retrieve(dataset, list(dataset.qrels), depth)

    def retrieve(self, dataset: Dataset, query_ids: Sequence[str], depth: int) -> Candidates:
        """Return the first `depth` documents that the file lists for each query.

        Raises DataError for a file that cannot be used.
        """
        from bench.retrieval.given import candidates_from

        run = read_content(self.path)
        source = {
            "first_stage": "run",
            "file": self.path.name,
            "sha256": file_digest(self.path),
        }
        return candidates_from(run, dataset, query_ids, depth, source, self.path.name)
