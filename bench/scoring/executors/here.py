"""`here`: one job after the other, in this process."""

from __future__ import annotations

from collections.abc import Generator, Iterator

from bench.contract.recipe import Recipe
from bench.contract.stage import Reranker
from bench.scoring.executors.base import Executor
from bench.scoring.job import Answer, Job


class Here(Executor):
    """Loads the reranker when there is a first job: one that finds every score in the cache never
    loads.
    """

    distributes = False
    meaning = "in this process, one chunk after the other"

    def run(
        self, reranker: Reranker, recipe: Recipe | None, jobs: Iterator[Job]
    ) -> Generator[tuple[Job, Answer]]:
        for job in jobs:
            reranker.load()
            yield job, job.answered_by(reranker)
            # after the answer has reached the cache: a wait may be interrupted
            reranker.pause()
