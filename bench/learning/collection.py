"""Everything that features look up in one collection: words, further first stages, the bi-encoder,
numeric fields. The same for the collection that is ranked and for one that is trained on.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from bench import retrieval
from bench.contract.candidates import QueryCandidates
from bench.contract.meter import Meter
from bench.contract.request import CandidateList, Failure
from bench.contract.stage import Reranker
from bench.core.errors import DataError, RerankerError
from bench.core.options import validated
from bench.datasets.base import Dataset, content_hash
from bench.learning.checks import refuse_absent
from bench.learning.options import LtrOptions
from bench.learning.view import QueryView
from bench.learning.words import WordIndex
from bench.retrieval.base import BaseFirstStage
from bench.retrieval.options import BM25Options
from bench.retrieval.own_document import candidates_of, searched

if TYPE_CHECKING:
    from bench.learning.values import Scores

_NO_NAME = re.compile(r"[^\w.=-]+")
"""What the name of a feature must not hold: LightGBM takes none of it."""


class Collection:
    """Looks up what features need. `firsts` are the first stage's candidates by query, where
    other stages came after it.
    """

    def __init__(
        self,
        dataset: Dataset,
        options: LtrOptions,
        base_dir: Path,
        depth: int,
        device: str,
        encoder: Reranker | None,
        firsts: Mapping[str, QueryCandidates] | None = None,
    ) -> None:
        self.dataset = dataset
        self.firsts = firsts
        self._options = options
        self._depth = depth
        self._encoder = encoder
        self._stages = built_stages(options, base_dir, device)
        self._words: WordIndex | None = None

    def load(self) -> None:
        """Open indexes and models. Idempotent."""
        if self._words is None:
            lexical = validated(BM25Options, self._options.bm25, "ltr: bm25")
            self._words = WordIndex(self.dataset, lexical, self._options.text_fields)
        for stage in self._stages.values():
            stage.load(self.dataset)
        if self._encoder is not None:
            self._encoder.load()

    def close(self) -> None:
        """Free memory, that of the encoder too."""
        with ExitStack() as stack:
            stack.callback(self.close_stages)
            if self._encoder is not None:
                stack.callback(self._encoder.close)

    def close_stages(self) -> None:
        """Free the memory of this collection alone: the encoder serves others."""
        self._words = None
        with ExitStack() as stack:
            for first_stage in self._stages.values():
                stack.callback(first_stage.close)

    def views(self, requests: Sequence[CandidateList]) -> list[QueryView]:
        """Return each request as features see it: further first stages search, and the encoder
        encodes.
        """
        self.load()
        words = self._words
        if words is None:
            raise RerankerError("ltr: the collection is closed")
        documents = [self._documents(request) for request in requests]
        stages_of = self._searched(requests)
        cosines = self._cosines(requests)
        views: list[QueryView] = []
        for request, fields, stages, cosine in zip(
            requests, documents, stages_of, cosines, strict=True
        ):
            views.append(
                QueryView(
                    query=request.query,
                    doc_ids=tuple(request.doc_ids),
                    documents=fields,
                    before=_before(request),
                    words=words,
                    first=self._first(request),
                    stages=stages,
                    cosine=cosine,
                    numbers=self._numbers(request.doc_ids),
                )
            )
        return views

    def _documents(self, request: CandidateList) -> list[Mapping[str, str]]:
        try:
            return self.dataset.documents.get(request.doc_ids)
        except DataError as error:
            raise RerankerError(
                "ltr: it orders documents of its collection alone, and a request has others"
            ) from error

    def sources(self) -> list[object] | None:
        """Return what decides the scores of further first stages and of the encoder: how a search
        for one query was made, and the encoder's fingerprint. None where it is not known.
        """
        query_ids = list(self.dataset.queries)[:1]
        sources: list[object] = []
        for name, stage in self._stages.items():
            if not stage.source_decides:
                return None
            depth = self._depth_of(stage)
            candidates = candidates_of(stage, self.dataset, query_ids, depth)
            sources.append([name, depth, dict(candidates.source)])
        if self._encoder is not None:
            fingerprint = self._encoder.fingerprint()
            if not fingerprint:
                return None
            sources.append(dict(fingerprint))
        return sources

    def firsts_hash(self) -> str:
        """Return a content hash of the first stage's candidates, where other stages came after it;
        empty where none did.
        """
        if self.firsts is None:
            return ""
        rows: list[tuple[str, ...]] = []
        for query_id in sorted(self.firsts):
            ranking = self.firsts[query_id]
            rows.append((query_id, *ranking.doc_ids, *map(float.hex, ranking.scores)))
        return content_hash(rows)

    def _searched(self, requests: Sequence[CandidateList]) -> list[dict[str, Scores]]:
        """Return what each further first stage says of each list, by name: a search for one query,
        as in a timed call, or for all at once.
        """
        query_ids = [request.query_id for request in requests]
        rows: list[dict[str, Scores]] = [{} for _ in requests]
        for name, stage in self._stages.items():
            depth = self._depth_of(stage)
            rankings: Mapping[str, QueryCandidates]
            if len(query_ids) == 1:
                ranking = searched(stage, self.dataset, query_ids[0], depth)
                rankings = {query_ids[0]: ranking}
            else:
                rankings = candidates_of(stage, self.dataset, query_ids, depth).by_query
            for request, row in zip(requests, rows, strict=True):
                row[name] = scores_of(request.doc_ids, rankings[request.query_id])
        return rows

    def _depth_of(self, stage: BaseFirstStage) -> int:
        return int(stage.options.depth or self._depth)

    def _cosines(self, requests: Sequence[CandidateList]) -> list[Scores | None]:
        import numpy as np

        if self._encoder is None:
            return [None] * len(requests)
        cosines: list[Scores | None] = []
        for outcome in self._encoder.score_lists(requests, Meter()):
            if isinstance(outcome, Failure):
                raise RerankerError(f"ltr: the encoder failed: {outcome.reason}")
            cosines.append(np.asarray(outcome, dtype=np.float64))
        return cosines

    def _first(self, request: CandidateList) -> Scores | None:
        if self.firsts is None:
            return None
        return scores_of(request.doc_ids, self.firsts[request.query_id])

    def _numbers(self, doc_ids: Sequence[str]) -> dict[str, Scores]:
        """Return each numeric field; NaN where a document lacks it. Raises DataError for a field
        that no document has as a number.
        """
        import numpy as np

        columns: dict[str, Scores] = {}
        for name in self._options.fields:
            columns[name] = np.array(self.dataset.numbers(doc_ids, name), dtype=np.float64)
        return columns

    def check_fields(self) -> None:
        """Raise DataError for a numeric field that no document has."""
        refuse_absent(self.dataset, self._options.fields)


def scores_of(doc_ids: Sequence[str], ranking: QueryCandidates) -> Scores:
    """Return the scores of these documents in a ranking; NaN for those that it lacks."""
    import numpy as np

    scores = dict(zip(ranking.doc_ids, ranking.scores, strict=True))
    return np.array([scores.get(doc_id, np.nan) for doc_id in doc_ids], dtype=np.float64)


def built_stages(options: LtrOptions, base_dir: Path, device: str) -> dict[str, BaseFirstStage]:
    """Return the further first stages by a name that a feature may have. Raises SuiteError for an
    entry that cannot be used.
    """
    return {
        feature_name(part.label): retrieval.build(part.name, part.options, base_dir, device)
        for part in options.first_stages
    }


def feature_name(name: str) -> str:
    """Return a name without the characters that a feature's name must not hold."""
    return _NO_NAME.sub("-", name).strip("-") or "x"


def _before(request: CandidateList) -> Scores:
    """Return the scores of the stage before; falling places where it gave none."""
    import numpy as np

    if len(request.scores) == len(request.doc_ids):
        return np.asarray(request.scores, dtype=np.float64)
    return np.arange(len(request.doc_ids), 0, -1, dtype=np.float64)
