"""Rows that compute nothing: the first stage's own order, the best order there is, and a run that somebody published.

They stand beside every reranker, so that a reader sees where it started, how much room there was, and what others reached.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from bench.errors import RerankerError, Unavailable
from bench.rerankers.base import BaseReranker, Description, Request
from bench.rerankers.options import RerankerOptions

if TYPE_CHECKING:
    from bench.datasets.base import Qrels
    from bench.first_stage.base import QueryCandidates
    from bench.rerankers.base import Outcome, Scores


class FixedReranker(BaseReranker):
    """The base of these rows: an order of the candidates becomes scores that fall strictly, by one a rank."""

    pointwise = False
    placement = "none"
    reads_texts = False

    def fingerprint(self) -> dict[str, Any]:
        return {}

    def rerank(self, requests: Sequence[Request]) -> list[Outcome]:
        return [_falling(self.order(request)) for request in requests]

    @abstractmethod
    def order(self, request: Request) -> Sequence[int]:
        """The positions of the candidates, best first."""


class FirstStageReranker(FixedReranker):
    """Keeps the order that the first stage gave."""

    def describe(self) -> Description:
        return Description("first-stage", {"order": "first stage"})

    def order(self, request: Request) -> Sequence[int]:
        return range(len(request.doc_ids))


class OracleReranker(FixedReranker):
    """The best possible order of the candidates: by grade, falling, then as the first stage had them. Needs `bind(qrels)` first."""

    def __init__(self, options: RerankerOptions, device: str = "cpu") -> None:
        super().__init__(options, device)
        self._qrels: Qrels | None = None

    def bind(self, qrels: Qrels) -> None:
        """The judgments to order by: query id -> document id -> grade. A document without one counts as grade 0."""
        self._qrels = qrels

    def describe(self) -> Description:
        return Description("oracle", {"order": "grade, then first stage"})

    def order(self, request: Request) -> Sequence[int]:
        if self._qrels is None:
            raise RerankerError("the oracle has no judgments: bind(qrels) comes before rerank()")
        grades: Mapping[str, int] = self._qrels.get(request.query_id, {})
        return sorted(range(len(request.doc_ids)), key=lambda i: -grades.get(request.doc_ids[i], 0))


class RunFileOptions(RerankerOptions):
    paths: ClassVar[tuple[str, ...]] = ("path",)

    path: str = Field(min_length=1, description="a TREC run file, plain or gzipped")


class RunFileReranker(FixedReranker):
    """The order of a published run under the tie rule (score descending, then doc_id descending).

    Candidates that the run lacks come after all others, as the first stage had them; documents of the run that are no candidates are left
    out. Both are counted in the description. Raises RerankerError when the run holds none of the judged queries.
    """

    Options: ClassVar[type[RerankerOptions]] = RunFileOptions
    options: RunFileOptions

    def __init__(self, options: RunFileOptions, device: str = "cpu") -> None:
        super().__init__(options, device)
        self._run: Mapping[str, QueryCandidates] | None = None
        self._judged: set[str] = set()
        self._counts: dict[str, dict[str, int]] = {}

    def bind(self, qrels: Qrels) -> None:
        """The queries that the run should answer."""
        self._judged = set(qrels)

    def check(self) -> None:
        if not Path(self.options.path).is_file():
            raise Unavailable("no such run file", f"{self.options.path} does not exist")

    def load(self) -> None:
        if self._run is not None:
            return
        from bench.first_stage.run_file import read_run

        run = read_run(Path(self.options.path))
        if self._judged and self._judged.isdisjoint(run):
            raise RerankerError(
                f"{self.options.path}: the run has none of the {len(self._judged)} judged queries; is it of another collection?"
            )
        self._run = run

    def describe(self) -> Description:
        """The counts cover the requests reranked so far."""
        from bench.rerankers.weights import file_hash

        path = Path(self.options.path)
        names = ("queries_absent", "candidates_absent", "extra_documents")
        counts = {name: sum(count[name] for count in self._counts.values()) for name in names}
        return Description("run-file", {"run": f"sha256:{file_hash(path)[:16]}"}, {"source": path.name, **counts})

    def order(self, request: Request) -> Sequence[int]:
        if self._run is None:
            raise RerankerError(f"{self.options.path}: load() comes before rerank()")
        ranked = self._run.get(request.query_id)
        score = dict(zip(ranked.doc_ids, ranked.scores, strict=True)) if ranked else {}
        present = [i for i, doc_id in enumerate(request.doc_ids) if doc_id in score]
        absent = [i for i, doc_id in enumerate(request.doc_ids) if doc_id not in score]
        extra = len(score) - len(present)
        self._counts[request.query_id] = {"queries_absent": int(not ranked), "candidates_absent": len(absent), "extra_documents": extra}
        return sorted(present, key=lambda i: (score[request.doc_ids[i]], request.doc_ids[i]), reverse=True) + absent


def _falling(order: Sequence[int]) -> Scores:
    """Scores for an order of positions: as many as there are for the best, one for the last. Shape: (len(order),)."""
    import numpy as np

    scores = np.empty(len(order), dtype=np.float64)
    scores[list(order)] = np.arange(len(order), 0, -1)
    return scores
