"""Our rerankers inside PyTerrier: a transformer for `>>` pipelines and `pt.Experiment`.

    import pyterrier as pt
    from bench.integrations.pyterrier import transformer

    pt.Experiment([bm25, bm25 >> transformer("minilm-l6")], topics, qrels, ["ndcg_cut_10"])

Only PyTerrier itself is needed, no Java. See Macdonald and Tonellotto, ICTIR 2020, for the
operators.
"""

from __future__ import annotations

import warnings
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.contract.meter import Meter
from bench.contract.request import CandidateList, Failure
from bench.core.counting import counted
from bench.core.errors import DataError
from bench.core.plugins import name_of, require

if TYPE_CHECKING:
    from bench.contract.request import Scores
    from bench.contract.stage import Reranker
    from bench.rerankers.outside.function import Outside

CHUNK_PAIRS = 1024
"""Pairs handed over at once, as a suite does by default, so that the same texts are batched
together and get the same bits.
"""


def transformer(
    name: str | Outside, device: str = "auto", text_field: str = "text", **options: Any
) -> Any:
    """Return any reranker that `bench.reranker` takes as a `pt.Transformer`.

    Weights are loaded when the first results arrive.

    It takes results with qid, query, docno and `text_field`, and gives the same rows and columns
    with score and rank anew: ranks count from 0, by the tie rule (score descending, then doc_id
    descending), rows are in that order, and tied scores are made to fall strictly, by the
    smallest step that single precision tells apart, so that every evaluator ranks alike. A query
    whose call failed loses its rows, with a warning, and so counts 0, as in a record.

    Raises SuiteError for an unknown name or option, Unavailable for what is not installed; the
    transformer itself raises DataError for a document listed twice, RerankerError for scores that
    cannot be used, and PyTerrier's InputValidationError for missing columns.
    """
    from bench import rerankers
    from bench.machine.fingerprint import resolve_device

    reranker = rerankers.build(name, options, resolve_device(device), Path.cwd())
    return _transformer_class()(reranker, name, text_field)


@lru_cache(maxsize=1)
def _transformer_class() -> Any:
    """Return the class, made when it is first wanted, since it derives from PyTerrier's."""
    pt = require("pyterrier", "pyterrier")

    base: Any = pt.Transformer

    class RerankBench(base):  # type: ignore[misc]
        """A reranker of rerank-bench."""

        def __init__(self, reranker: Reranker, name: str | Outside, text_field: str) -> None:
            self.reranker, self.text_field = reranker, text_field
            # what is not named is handed over as an object of somebody else's
            self.label = name if isinstance(name, str) else name_of(name)
            self._loaded = False

        def transform(self, inp: Any) -> Any:
            pt.validate.columns(inp, includes=["qid", "query", "docno", self.text_field])
            if len(inp) and not self._loaded:
                self.reranker.check()
                self.reranker.load()
                self._loaded = True
            return _reranked(self.reranker, inp.reset_index(drop=True), self.text_field)

        def __repr__(self) -> str:
            return f"rerank-bench({self.label})"

    return RerankBench


def _reranked(reranker: Reranker, results: Any, text_field: str) -> Any:
    """Return the rows of a frame in their new order, queries in the order of their first rows."""
    from bench.scoring.engine import chunks
    from bench.scoring.job import checked

    rows = {str(qid): group.index.to_list() for qid, group in results.groupby("qid", sort=False)}
    requests = [_request(qid, results.loc[places], text_field) for qid, places in rows.items()]
    order: list[int] = []
    scores: list[float] = []
    ranks: list[int] = []
    failed: dict[str, str] = {}
    for chunk in chunks(requests, CHUNK_PAIRS):
        for request, outcome in zip(chunk, checked(reranker, chunk, Meter()), strict=True):
            if isinstance(outcome, Failure):
                failed[request.query_id] = outcome.reason
                continue
            positions, falling = _ordered(request, outcome)
            order += [rows[request.query_id][position] for position in positions]
            scores += falling
            ranks += range(len(positions))
    if failed:
        first, reason = next(iter(failed.items()))
        warnings.warn(
            f"{len(failed)} of {counted(len(requests), 'query')} failed and get no documents; "
            f"'{first}': {reason}",
            stacklevel=3,
        )
    answered = results.drop(columns=["score", "rank"], errors="ignore").loc[order]
    columns = {"score": _column(scores, "float64"), "rank": _column(ranks, "int64")}
    return answered.assign(**columns).reset_index(drop=True)


def _request(query_id: str, rows: Any, text_field: str) -> CandidateList:
    doc_ids = [str(doc_id) for doc_id in rows["docno"]]
    if len(set(doc_ids)) != len(doc_ids):
        twice = next(doc_id for doc_id in doc_ids if doc_ids.count(doc_id) > 1)
        raise DataError(f"query '{query_id}' lists document '{twice}' twice")
    texts = rows[text_field].to_list()
    for doc_id, text in zip(doc_ids, texts, strict=True):
        if not isinstance(text, str):
            raise DataError(
                f"query '{query_id}': document '{doc_id}' has no text in column '{text_field}'"
            )
    return CandidateList(query_id, str(rows["query"].iloc[0]), doc_ids, texts)


def _ordered(request: CandidateList, scores: Scores) -> tuple[list[int], list[float]]:
    """Return the positions of a request's documents, best first, with strictly falling scores."""
    from bench.ranking.order import rank, strictly_falling

    ranking = rank(request.doc_ids, scores)
    place = {doc_id: position for position, doc_id in enumerate(request.doc_ids)}
    return [place[doc_id] for doc_id in ranking.doc_ids], strictly_falling(ranking.scores)


def _column(values: list[Any], dtype: str) -> Any:
    """Return a column of its own type, even when it has no rows."""
    import numpy as np

    return np.array(values, dtype=dtype)
