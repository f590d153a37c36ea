"""An executor held to its contract: an answer to every job, once, and one that can be used.

An outsider's executor may leave a job out, answer it twice or answer with anything: no mean may be
made of that, and nothing of it may reach the cache.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import replace
from typing import Any

from bench.contract.recipe import Recipe
from bench.contract.stage import Reranker
from bench.core.counting import counted
from bench.core.errors import RerankerError
from bench.core.note import Note
from bench.core.outsiders import kind_of
from bench.scoring.executors.base import Executor
from bench.scoring.job import Answer, Job, usable


class TakenJobs(Iterator[Job]):
    """The jobs on their way to an executor, and those at work."""

    def __init__(self, jobs: Iterator[Job]) -> None:
        self._jobs = jobs
        self.count = 0
        self.answered: set[str] = set()
        """The first query of each answered job: the job itself holds texts, and is let go."""
        self.at_work: list[Job] = []

    def __next__(self) -> Job:
        job = next(self._jobs)
        self.count += 1
        self.at_work.append(job)
        return job


def held_to_contract(
    executor: Executor, reranker: Reranker, recipe: Recipe | None, jobs: Iterator[Job]
) -> Generator[tuple[Job, Answer]]:
    """Yield each job with its answer, as the executor gives them. Raises RerankerError naming the
    executor where an answer is no answer to a job at work, and where a job is left without one.
    """
    supply = TakenJobs(jobs)
    answers: Any = executor.run(reranker, recipe, supply)
    if not isinstance(answers, Iterator):
        raise _broken(executor, f"run() returned {kind_of(answers)}; it yields (job, answer)")
    try:
        for item in answers:
            yield _answered(executor, item, supply)
    finally:
        # an iterator that is no generator may have nothing to close
        close = getattr(answers, "close", None)
        if close is not None:
            close()
    if supply.at_work:
        jobs_taken = counted(supply.count, "job")
        answered = supply.count - len(supply.at_work)
        raise _broken(executor, f"run() took {jobs_taken} and answered {answered}")
    if next(supply, None) is not None:
        jobs_taken = counted(supply.count - 1, "job")
        raise _broken(executor, f"run() ended after {jobs_taken}, and there were more to take")


def _answered(executor: Executor, item: Any, supply: TakenJobs) -> tuple[Job, Answer]:
    """Return a job at work and its answer, checked; the job is at work no more."""
    if not isinstance(item, tuple) or len(item) != 2:
        raise _broken(executor, f"run() yielded {kind_of(item)}; it yields (job, answer)")
    job, answer = item
    place = _place(job, supply.at_work)
    if place is None:
        if isinstance(job, Job) and _first(job) in supply.answered:
            raise _broken(executor, f"run() answered the job of query '{_first(job)}' twice")
        raise _broken(executor, f"run() answered {kind_of(job)}, which is no job that it took")
    if not isinstance(answer, Answer):
        raise _broken(executor, f"the answer to a job is {kind_of(answer)}; it is an Answer")
    for remark in (answer.doubt, answer.note):
        if remark is not None and not isinstance(remark, Note):
            raise _broken(executor, f"an answer has {kind_of(remark)} in the place of a Note")
    if answer.description is not None and not isinstance(answer.description, dict):
        raise _broken(executor, f"the description in an answer is {kind_of(answer.description)}")
    if answer.query_ids and tuple(answer.query_ids) != job.query_ids:
        raise _broken(
            executor,
            f"the job of query '{_first(job)}' got the answer of query '{answer.query_ids[0]}'",
        )
    if not isinstance(answer.outcomes, list | tuple):
        raise _broken(
            executor, f"the outcomes in an answer are {kind_of(answer.outcomes)}; they are a list"
        )
    try:
        outcomes = usable(answer.outcomes, job.requests, "run()")
    except RerankerError as error:
        raise _broken(executor, str(error)) from error
    del supply.at_work[place]
    supply.answered.add(_first(job))
    return job, replace(answer, outcomes=outcomes)


def _place(job: Any, jobs: list[Job]) -> int | None:
    for place, known in enumerate(jobs):
        if known is job:
            return place
    return None


def _first(job: Job) -> str:
    return job.requests[0].query_id


def _broken(executor: Executor, problem: str) -> RerankerError:
    return RerankerError(f"executor '{executor.name}': {problem}")
