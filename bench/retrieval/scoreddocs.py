"""The official candidates that some collections bring along, such as the top 1000 of the TREC Deep
Learning tracks.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from bench.contract.candidates import Candidates
from bench.core.errors import DataError, SuiteError
from bench.datasets.base import Dataset
from bench.retrieval.base import BaseFirstStage
from bench.retrieval.options import FirstStageOptions


class ScoredDocs(BaseFirstStage):
    """What the dataset's `extras["scoreddocs"]` gives, in trec_eval's order."""

    meaning = "the candidates that an ir_datasets collection brings along"
    Options: ClassVar[type[FirstStageOptions]] = FirstStageOptions
    reads_texts = False
    is_given = True

    def __init__(self, options: FirstStageOptions, base_dir: Path) -> None:
        super().__init__(options, base_dir)
        self.name = options.name or "scoreddocs"

    def check(self, dataset: Dataset | None, depth: int) -> None:
        """Raise SuiteError when the dataset brings none along."""
        if dataset is not None and "scoreddocs" not in dataset.extras:
            raise SuiteError(
                f"first stage 'scoreddocs': the dataset {dataset.id} brings no candidates along; "
                "use bm25 or a run file"
            )

    def retrieve(self, dataset: Dataset, query_ids: Sequence[str], depth: int) -> Candidates:
        """Return up to `depth` candidates for each query.

        Raises SuiteError when the dataset brings none along.
        """
        from bench.ranking.trec_order import RepeatedDocument, Rows, ordered
        from bench.retrieval.given import candidates_from

        self.check(dataset, depth)
        scored = dataset.extras["scoreddocs"]
        wanted = set(query_ids)
        rows = [row for row in scored() if row[0] in wanted]
        columns = [[row[i] for row in rows] for i in range(3)]
        what = f"the scoreddocs of {dataset.id}"
        try:
            run = ordered(Rows(columns[0], columns[1], columns[2]))
        except RepeatedDocument as error:
            raise DataError(f"{what}: {error}") from error
        source = {"first_stage": "scoreddocs", "dataset": dataset.identity.get("id", dataset.id)}
        return candidates_from(run, dataset, query_ids, depth, source, what)
