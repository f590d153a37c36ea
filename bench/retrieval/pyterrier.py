"""Any PyTerrier pipeline as a first stage: `pyterrier: my_module:pipeline`.

The pipeline (Macdonald and Tonellotto, ICTIR 2020) gets a frame of topics (qid, query) and answers
with results (qid, docno, score). Plain PyTerrier needs no Java; a pipeline over Terrier's own index
does.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from bench.contract.candidates import Candidates
from bench.contract.requirement import Package, Requirement
from bench.core.errors import DataError, SuiteError, first_line
from bench.core.options import option
from bench.core.plugins import require, resolve
from bench.datasets.base import Dataset
from bench.retrieval.base import BaseFirstStage
from bench.retrieval.options import FirstStageOptions

if TYPE_CHECKING:
    from bench.ranking.trec_order import RunContent

COLUMNS = ("qid", "docno", "score")


class PyTerrierOptions(FirstStageOptions):
    """Candidates from a PyTerrier pipeline."""

    pipeline: str = option(
        pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$",
        decides="scores",
        description="package.module:name of a PyTerrier transformer",
    )


class PyTerrier(BaseFirstStage):
    """What a PyTerrier pipeline finds for the queries, in trec_eval's order."""

    source_decides = False
    meaning = "a PyTerrier pipeline, module:object"
    Options: ClassVar[type[PyTerrierOptions]] = PyTerrierOptions

    def __init__(self, options: PyTerrierOptions, base_dir: Path) -> None:
        super().__init__(options, base_dir)
        self.name = options.name or f"pyterrier:{options.pipeline}"

    def requirements(self) -> Sequence[Requirement]:
        return (Package("pyterrier", "pyterrier"),)

    def check(self, dataset: Dataset | None, depth: int) -> None:
        """Raise SuiteError when the name leads to no transformer, Unavailable without PyTerrier."""
        super().check(dataset, depth)
        pt = require("pyterrier", "pyterrier")
        pipeline = resolve(self.options.pipeline, {}, "PyTerrier pipeline")
        if not isinstance(pipeline, pt.Transformer):
            raise SuiteError(
                f"first stage 'pyterrier': {self.options.pipeline} is no PyTerrier transformer "
                f"but a {type(pipeline).__name__}"
            )

    def retrieve(self, dataset: Dataset, query_ids: Sequence[str], depth: int) -> Candidates:
        """Return up to `depth` candidates for each query. Document ids are compared as text.

        Raises SuiteError when the name leads to no transformer, Unavailable without PyTerrier,
        DataError for a pipeline that fails and for results that cannot be used: columns missing,
        scores that are not finite, documents that the dataset does not have.
        """
        from bench.retrieval.given import candidates_from

        self.check(dataset, depth)
        pt = require("pyterrier", "pyterrier")
        pipeline = resolve(self.options.pipeline, {}, "PyTerrier pipeline")
        what = f"the PyTerrier pipeline {self.options.pipeline}"
        content = _content(_results(pipeline, dataset, query_ids, what), what)
        source = {
            "first_stage": "pyterrier",
            "pipeline": self.options.pipeline,
            # an address would differ from run to run
            "repr": re.sub(r" at 0x[0-9a-fA-F]+", "", repr(pipeline)),
            "pyterrier": pt.__version__,
        }
        return candidates_from(content, dataset, query_ids, depth, source, what)


def _results(pipeline: Any, dataset: Dataset, query_ids: Sequence[str], what: str) -> Any:
    """Return the pipeline's answer to the topics: a frame with qid, docno and score."""
    import pandas as pd

    topics = pd.DataFrame(
        {"qid": list(query_ids), "query": [dataset.queries[query_id] for query_id in query_ids]}
    )
    try:
        results = pipeline.transform(topics)
    except Exception as error:  # whatever an outsider's pipeline may raise
        raise DataError(f"{what} failed: {first_line(error)}") from error
    if not isinstance(results, pd.DataFrame):
        raise DataError(f"{what} gives a {type(results).__name__}, not a data frame")
    missing = [column for column in COLUMNS if column not in results.columns]
    if missing:
        columns = ", ".join(map(str, results.columns))
        raise DataError(
            f"{what} gives no column {' and no column '.join(missing)} (its columns: {columns}); a "
            "first stage ends in a retriever"
        )
    return results


def _content(results: Any, what: str) -> RunContent:
    import numpy as np
    import pandas as pd

    from bench.ranking.trec_order import RepeatedDocument, Rows, ordered

    scores = pd.to_numeric(results["score"], errors="coerce").to_numpy(dtype=np.float64)
    query_ids, doc_ids = ([str(value) for value in results[column]] for column in ("qid", "docno"))
    bad = np.flatnonzero(~np.isfinite(scores))
    if len(bad):
        raise DataError(
            f"{what}: query '{query_ids[bad[0]]}': the score of document '{doc_ids[bad[0]]}' is "
            "not a finite number"
        )
    ranks = None
    if "rank" in results.columns:
        ranks = pd.to_numeric(results["rank"], errors="coerce")
    try:
        return ordered(Rows(query_ids, doc_ids, scores, ranks))
    except RepeatedDocument as error:
        raise DataError(f"{what}: {error}") from error
