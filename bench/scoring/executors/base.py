"""What an executor is: a place where jobs of scoring are done."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator, Iterator
from typing import Any, ClassVar

from bench.contract.encoding import Encoder
from bench.contract.recipe import Recipe
from bench.contract.stage import Reranker
from bench.core.errors import RerankerError
from bench.core.options import StageOptions
from bench.scoring.job import Answer, Job


class ExecutorOptions(StageOptions):
    """Options of an executor. None of them decides scores or speed: timings are never
    distributed.
    """


class Executor(ABC):
    """Writes `run`. `name` is what a suite calls it."""

    Options: ClassVar[type[ExecutorOptions]] = ExecutorOptions
    meaning: ClassVar[str] = ""
    """Where the work is done, for a list."""
    distributes: ClassVar[bool] = True
    """False where everything is done as it is without any executor: records do not name it."""

    def __init__(self, name: str, options: Any) -> None:
        self.name = name
        self.options = options

    def check(self) -> None:
        """Raise Unavailable where something is missing that it needs. Starts nothing."""
        return

    def close(self) -> None:
        """Stop what is left of what it has started between runs. It may be used again. Called
        before the timed pass, and at the end of a suite.
        """
        return

    def extent(self, device: str) -> str:
        """Return how much of it works on a device, in a few words; "" where that says nothing."""
        return ""

    def encoder(self) -> Encoder | None:
        """Return what encodes collections in the place of this process; None where it does."""
        return None

    def serves(self, reranker: Reranker, recipe: Recipe | None) -> bool:
        """Return whether this executor does the work of a reranker; `here` does that of others. A
        recipe is None where nothing says how to build it in another process. Nobody asks for an
        order that is given (first-stage, oracle, run-file): that is read here.
        """
        return True

    @abstractmethod
    def run(
        self, reranker: Reranker, recipe: Recipe | None, jobs: Iterator[Job]
    ) -> Generator[tuple[Job, Answer]]:
        """Yield each job with its answer, in any order, and take the next job when there is a free
        place for it: a job is read from the cache's gaps when it is taken.

        Every job that there is is taken, and answered once before the run ends: the engine holds
        an executor to that. What a job used goes to its meter. Raises what the reranker raises;
        stops what it has started on every way out.
        """


class ByRecipe(Executor):
    """Has other processes build the reranker by its recipe, and do the work. Writes `answers`."""

    def serves(self, reranker: Reranker, recipe: Recipe | None) -> bool:
        """Return whether other processes can do the work: that of a service or of judgments is none
        of theirs, and limits per minute hold in one process.
        """
        return recipe is not None and reranker.placement == "device"

    def run(
        self, reranker: Reranker, recipe: Recipe | None, jobs: Iterator[Job]
    ) -> Generator[tuple[Job, Answer]]:
        if recipe is None:
            raise RerankerError("nothing says how to build it in another process")
        yield from self.answers(reranker, recipe, jobs)

    @abstractmethod
    def answers(
        self, reranker: Reranker, recipe: Recipe, jobs: Iterator[Job]
    ) -> Generator[tuple[Job, Answer]]:
        """Yield as `run` does."""
