"""Rows that compute nothing: the first stage's own order, the best order there is, and a run that
somebody published.

They are listed with every reranker, so that a reader sees where it started, how much room there
was, and what others reached.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from bench.contract.candidates import QueryCandidates, finite
from bench.contract.request import CandidateList, Failure
from bench.contract.requirement import Requirement
from bench.contract.stage import Description, Placement
from bench.core.errors import RerankerError, Unavailable
from bench.core.note import Code, Note, note
from bench.core.options import option
from bench.ranking.order import step_at
from bench.rerankers.base import BaseReranker
from bench.rerankers.options import RerankerOptions

if TYPE_CHECKING:
    from bench.contract.candidates import Candidates
    from bench.contract.request import Outcome, Scores
    from bench.datasets.base import Qrels
    from bench.ranking.trec_order import RunContent

OTHER_CANDIDATES = 0.1
"""From this share of candidates on that a run lacks while it lists other documents in their place,
it was made over other candidates.
"""


class FixedReranker(BaseReranker):
    """The base of these rows: an order of the candidates becomes scores that fall strictly, by one
    a rank.
    """

    pointwise = False
    placement: Placement = "none"
    reads_texts = False
    is_given = True

    def rerank(self, requests: Sequence[CandidateList]) -> list[Outcome]:
        return [_falling(self.order(request)) for request in requests]

    @abstractmethod
    def order(self, request: CandidateList) -> Sequence[int]:
        """Return the positions of the candidates, best first."""


class FirstStageReranker(FixedReranker):
    """Keeps the order that the first stage gave, with the first stage's own scores once
    `bind(qrels, candidates)` has brought them.

    Scores that contradict the order, as an outsider's first stage may give them, are replaced by n,
    n-1, ..., 1 and counted.
    """

    is_reference = True

    def __init__(self, options: RerankerOptions, device: str = "cpu") -> None:
        super().__init__(options, device)
        self._candidates: Mapping[str, QueryCandidates] = {}
        self._contradicted: set[str] = set()

    def bind(self, qrels: Qrels, candidates: Candidates) -> None:
        """Take the candidates, whose scores are the row's."""
        self._candidates = candidates.by_query

    def describe(self) -> Description:
        """Return what loaded; the counts cover the requests reranked so far."""
        facts = {}
        if self._contradicted:
            facts["warnings"] = [note(Code.OUT_OF_ORDER, len(self._contradicted)).to_dict()]
        return Description("first-stage", {"order": "first stage"}, facts)

    def rerank(self, requests: Sequence[CandidateList]) -> list[Outcome]:
        return [self._scores(request) for request in requests]

    def order(self, request: CandidateList) -> Sequence[int]:
        return range(len(request.doc_ids))

    def own_scores(self, request: CandidateList, answer: QueryCandidates) -> QueryCandidates:
        """Return the first stage's own scores, those that contradict its order among them."""
        return finite(zip(request.doc_ids, request.scores, strict=False))

    def _scores(self, request: CandidateList) -> Scores:
        import numpy as np

        candidates = self._candidates.get(request.query_id)
        if candidates is None:
            return _falling(self.order(request))
        scores = np.asarray(candidates.scores, dtype=np.float64)
        if not in_order(request.doc_ids, scores):
            self._contradicted.add(request.query_id)
            return _falling(self.order(request))
        return scores


class OracleReranker(FixedReranker):
    """The best possible order of the candidates: by grade, falling, then as the first stage had
    them. Needs `bind` first.
    """

    is_reference = True

    def __init__(self, options: RerankerOptions, device: str = "cpu") -> None:
        super().__init__(options, device)
        self._qrels: Qrels | None = None

    def bind(self, qrels: Qrels, candidates: Candidates) -> None:
        """Take the judgments to order by: query id -> document id -> grade. A document without one
        counts as grade 0.
        """
        self._qrels = qrels

    def describe(self) -> Description:
        return Description("oracle", {"order": "grade, then first stage"})

    def order(self, request: CandidateList) -> Sequence[int]:
        if self._qrels is None:
            raise RerankerError("the oracle has no judgments: bind() comes before rerank()")
        grades: Mapping[str, int] = self._qrels.get(request.query_id, {})
        falling = [-grades.get(doc_id, 0) for doc_id in request.doc_ids]
        return sorted(range(len(falling)), key=falling.__getitem__)


class RunFileOptions(RerankerOptions):
    paths: ClassVar[tuple[str, ...]] = ("path",)

    path: str = option(
        min_length=1,
        decides="scores",
        place="elsewhere",
        description="a run: TREC, MS MARCO or JSON, plain or .gz, .bz2, .xz, .zst",
    )
    first_stage: str | None = option(
        None,
        decides="nothing",
        description="the first stage that the run reranks, as tables call it: the row appears "
        "over no other",
    )
    dataset: str | None = option(
        None,
        decides="nothing",
        description="the dataset that the run is of, as tables call it: the row appears over no "
        "other",
    )


@dataclass(frozen=True)
class _Overlap:
    """What a run and the candidates of one query have in common, in documents."""

    candidates: int
    absent: int
    extra: int


@dataclass(frozen=True)
class RunOnDisk(Requirement):
    """A run file."""

    path: str

    def require(self) -> None:
        if not Path(self.path).is_file():
            raise Unavailable("no such run file", f"{self.path} does not exist")


class RunFileReranker(FixedReranker):
    """The order and the scores of a published run under the tie rule (score descending, then doc_id
    descending).

    A query that the run lacks, or of which it lists no candidate, fails and scores 0, as in
    `trec_eval -c`. Candidates that the run lacks come after all others, as the first stage had
    them; documents of the run that are no candidates are left out. All are counted in the
    description. Raises RerankerError when the run holds none of the judged queries.
    """

    Options: ClassVar[type[RerankerOptions]] = RunFileOptions
    options: RunFileOptions

    def __init__(self, options: RunFileOptions, device: str = "cpu") -> None:
        super().__init__(options, device)
        self._run: RunContent | None = None
        self._judged: set[str] = set()
        self._absent_queries: set[str] = set()
        self._overlaps: dict[str, _Overlap] = {}
        self.of_dataset, self.of_first_stage = options.dataset, options.first_stage
        self.run_file = Path(options.path)

    @property
    def label(self) -> str:
        return f"run-file {self.options.path}"

    def bind(self, qrels: Qrels, candidates: Candidates) -> None:
        """Take the queries that the run should answer."""
        self._judged = set(qrels)

    def requirements(self) -> Sequence[Requirement]:
        return (RunOnDisk(self.options.path),)

    def load(self) -> None:
        if self._run is not None:
            return
        from bench.ranking.trec import read_content

        run = read_content(Path(self.options.path))
        if self._judged and self._judged.isdisjoint(run.by_query):
            raise RerankerError(
                f"{self.options.path}: the run has none of the {len(self._judged)} judged "
                "queries; is it of another collection?"
            )
        self._run = run

    def describe(self) -> Description:
        """Return what loaded; the counts cover the requests reranked so far."""
        from bench.models.weights import file_hash

        path = Path(self.options.path)
        counts = {
            "queries_absent": len(self._absent_queries),
            "candidates": sum(overlap.candidates for overlap in self._overlaps.values()),
            "candidates_absent": sum(overlap.absent for overlap in self._overlaps.values()),
            "extra_documents": sum(overlap.extra for overlap in self._overlaps.values()),
        }
        replaced = sum(min(overlap.absent, overlap.extra) for overlap in self._overlaps.values())
        facts: dict[str, object] = {"source": path.name, **counts}
        if replaced > OTHER_CANDIDATES * counts["candidates"]:
            facts["other_candidates"] = True
        if warnings := [*self._warnings(path.name, counts)]:
            facts["warnings"] = [note.to_dict() for note in warnings]
        return Description("run-file", {"run": f"sha256:{file_hash(path)[:16]}"}, facts)

    def _warnings(self, name: str, counts: Mapping[str, int]) -> Iterator[Note]:
        if absent := counts["candidates_absent"]:
            yield note(Code.ABSENT_CANDIDATES, absent, counts["candidates"], file=name)
        if extra := counts["extra_documents"]:
            yield note(Code.EXTRA_DOCUMENTS, extra, file=name)
        if self._run is not None:
            yield from self._run.warnings(name, self._overlaps)

    def rerank(self, requests: Sequence[CandidateList]) -> list[Outcome]:
        return [self._outcome(request) for request in requests]

    def order(self, request: CandidateList) -> Sequence[int]:
        score = self._scores_of(request.query_id)
        present = [i for i, doc_id in enumerate(request.doc_ids) if doc_id in score]
        absent = [i for i, doc_id in enumerate(request.doc_ids) if doc_id not in score]
        present.sort(key=lambda i: (score[request.doc_ids[i]], request.doc_ids[i]), reverse=True)
        return present + absent

    def own_scores(self, request: CandidateList, answer: QueryCandidates) -> QueryCandidates:
        """Return the run's own scores of the candidates that it lists."""
        scores = self._scores_of(request.query_id)
        return finite((name, scores[name]) for name in answer.doc_ids if name in scores)

    def _outcome(self, request: CandidateList) -> Outcome:
        import numpy as np

        if not request.doc_ids:
            return np.empty(0, dtype=np.float64)
        score = self._scores_of(request.query_id)
        name = Path(self.options.path).name
        if not score:
            self._absent_queries.add(request.query_id)
            return Failure(f"{name} does not list the query")
        absent = [i for i, doc_id in enumerate(request.doc_ids) if doc_id not in score]
        present = len(request.doc_ids) - len(absent)
        self._overlaps[request.query_id] = _Overlap(
            len(request.doc_ids), len(absent), len(score) - present
        )
        if not present:
            return Failure(f"{name} lists none of its candidates")
        lowest = min(score[doc_id] for doc_id in request.doc_ids if doc_id in score)
        scores = np.array(
            [score.get(doc_id, lowest) for doc_id in request.doc_ids], dtype=np.float64
        )
        scores[absent] -= step_at(lowest) * np.arange(1, len(absent) + 1)
        if not np.isfinite(scores).all():
            # next to the ends of double precision there is no room below the lowest score
            return _falling(self.order(request))
        return scores

    def _scores_of(self, query_id: str) -> dict[str, float]:
        """Return the run's documents of a query with their scores, none where it lacks the
        query.
        """
        if self._run is None:
            raise RerankerError(f"{self.options.path}: load() comes before rerank()")
        ranking = self._run.by_query.get(query_id)
        if ranking is None:
            return {}
        return dict(zip(ranking.doc_ids, ranking.scores, strict=True))


def in_order(doc_ids: Sequence[str], scores: Scores) -> bool:
    """Return whether these documents are in the order that their scores, all finite, give under the
    tie rule.
    """
    import numpy as np

    if len(scores) != len(doc_ids) or not np.isfinite(scores).all():
        return False
    below = scores[1:] < scores[:-1]
    if below.all():
        return True
    ties = (scores[1:] == scores[:-1]).nonzero()[0].tolist()
    return len(ties) + int(below.sum()) == len(below) and all(
        doc_ids[i] > doc_ids[i + 1] for i in ties
    )


def _falling(order: Sequence[int]) -> Scores:
    """Return scores for an order of positions: as many as there are for the best, 1 for the last.

    Shape: (len(order),).
    """
    import numpy as np

    scores = np.empty(len(order), dtype=np.float64)
    scores[list(order)] = np.arange(len(order), 0, -1)
    return scores
