"""The scores of a teacher: any reranker of this harness, through the score cache, with its price
before it is asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from bench.contract.part import Part
from bench.contract.request import CandidateList, Usage
from bench.core.counting import counted
from bench.core.errors import RerankerError
from bench.core.progress import Observer
from bench.core.wording import worded
from bench.datasets.base import Dataset
from bench.datasets.judged_queries import JudgedQuery
from bench.retrieval.requests import Texts
from bench.runner.backlog import Backlog
from bench.runner.forecast import Tokens, bill
from bench.scoring.engine import HERE, score
from bench.scoring.executors.base import Executor
from bench.scoring.known import ScoreCaches
from bench.suite.pipeline_planning import recipe_of
from bench.suite.planning import Planned, plan
from bench.training.mining import suite_of
from bench.training.recipe import Recipe


class Lesson(NamedTuple):
    """A query, and the documents that its teacher scores."""

    query: JudgedQuery
    doc_ids: Sequence[str]


class Bill(NamedTuple):
    """What a teacher is yet to be asked: pairs that the cache lacks, and dollars; None where no
    price is known.
    """

    pairs: int
    usd: float | None


class Teacher:
    """A reranker that scores training documents. Raises BenchError where it cannot run here."""

    def __init__(
        self,
        recipe: Recipe,
        part: Part,
        device: str | None,
        observer: Observer,
        executor: Executor = HERE,
        *,
        lenient: bool = False,
    ) -> None:
        """With `lenient` one that cannot run here has a bill all the same, such as a service whose
        key is not here.
        """
        self._suite = suite_of(recipe, {"rerankers": [part.to_entry()]})
        self._planned = _row_of(plan(self._suite, device, lenient=lenient)[0].planned)
        if not lenient and self._planned.status.status != "pending":
            raise RerankerError(f"teacher {part.label}: {self._planned.status.reason}")
        self.name = self._planned.trial.reranker
        self._observer = observer
        self._executor = executor
        self._caches = ScoreCaches()

    def bill(self, dataset: Dataset, lessons: Sequence[Lesson]) -> Bill:
        """Return what scoring would take. Nothing is loaded or sent."""
        requests = _requests(dataset, lessons)
        tokens = Tokens(requests, self._suite.seed)
        missing = Backlog(tokens, fresh=False).missing(self._planned, requests)
        usage = sum(missing.usages, Usage())
        return Bill(usage.pairs, bill(self._planned.reranker, usage))

    def scores(self, dataset: Dataset, lessons: Sequence[Lesson]) -> dict[str, dict[str, float]]:
        """Return query name -> document id -> score; a query that failed has none. Raises
        RerankerError where none was answered.
        """
        requests = _requests(dataset, lessons)
        reranker = self._planned.reranker
        device = self._planned.trial.host
        pairs = sum(len(lesson.doc_ids) for lesson in lessons)
        try:
            reranker.over(replace(dataset, is_measured=False))
            with self._observer.task(f"asking {self.name}", pairs, "pairs") as advance:
                scored = score(
                    reranker,
                    requests,
                    chunk_pairs=self._suite.chunk_pairs,
                    caches=self._caches,
                    on_progress=advance,
                    on_note=lambda note: self._observer.note(worded(note.at(self.name))),
                    executor=self._executor,
                    recipe=recipe_of(self._planned.part, reranker, self._suite, device),
                )
        finally:
            reranker.close()
        if requests and not scored.scores:
            reason = next(iter(scored.failures.values()), "no reason given")
            queries = counted(len(requests), "query")
            raise RerankerError(f"teacher {self.name}: none of {queries} was answered: {reason}")
        answers: dict[str, dict[str, float]] = {}
        for lesson in lessons:
            values = scored.scores.get(lesson.query.name)
            if values is not None:
                rows = zip(lesson.doc_ids, map(float, values), strict=True)
                answers[lesson.query.name] = dict(rows)
        return answers


def _row_of(planned: Sequence[Planned]) -> Planned:
    for row in planned:
        if row.trial.kind == "reranker":
            return row
    raise RerankerError("the teacher is no reranker")


def _requests(dataset: Dataset, lessons: Sequence[Lesson]) -> list[CandidateList]:
    requests: list[CandidateList] = []
    for query, doc_ids in lessons:
        texts = Texts(dataset, doc_ids)
        requests.append(CandidateList(query.name, query.text, tuple(doc_ids), texts))
    return requests


def teacher_of(
    recipe: Recipe,
    device: str | None,
    observer: Observer,
    executor: Executor = HERE,
    *,
    lenient: bool = False,
) -> Teacher | None:
    """Return the teacher of a recipe, None where it has none."""
    if recipe.teacher is None:
        return None
    return Teacher(recipe, recipe.teacher, device, observer, executor, lenient=lenient)
