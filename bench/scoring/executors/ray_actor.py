"""What an actor does: build a reranker from its recipe, and score what it is handed. Not for people
to call.

Lines of JSON go in and come out, as between a driver and its worker processes: nothing of a recipe
is in the name or the representation of an actor or a task, which Ray writes into its logs.
"""

from __future__ import annotations

import importlib
import os
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from bench import rerankers
from bench.contract.recipe import Recipe
from bench.contract.stage import Reranker
from bench.core.errors import BenchError, RerankerError, Unavailable
from bench.core.left_folder import left_folder
from bench.core.outsiders import OutsiderError, outsiders_code
from bench.core.plugins import look_in
from bench.core.version import version
from bench.rerankers.description import identified
from bench.scoring.executors import messages
from bench.scoring.executors.sources import Sources, unpack
from bench.scoring.executors.worker import answer_line
from bench.scoring.executors.worker_process import THREAD_VARIABLES


class Actor(ABC):
    """Holds what it has built from a recipe, which names the modules whose files are `sources`."""

    def __init__(self, recipe: str, sources: Sources, threads: int) -> None:
        # libraries read them when they are imported
        os.environ.update(dict.fromkeys(THREAD_VARIABLES, str(threads)))
        self._recipe = messages.recipe_of(recipe)
        self._sources = sources
        self._left = ExitStack()
        """What is removed at the end."""

    def node(self) -> str:
        """Return the name that Ray has for the machine."""
        ray: Any = importlib.import_module("ray")
        return str(ray.get_runtime_context().get_node_id())

    def load(self) -> str:
        """Return a line with what decides the results: the driver compares it with its own."""
        try:
            with outsiders_code():
                self._unpack()
                look_in(Path(self._recipe.base_dir))
                decided_by = self._loaded(self._recipe)
        except BenchError as error:
            return messages.of_error(_explained(error, self._recipe))
        return messages.of_loaded({"version": version(), "decided_by": decided_by})

    def leave(self) -> None:
        """Remove the files that were written: nobody asks for anything more."""
        self._left.close()

    def _unpack(self) -> None:
        """Write the files of outsiders' modules, which an actor that is killed leaves nowhere."""
        if self._sources:
            folder = self._left.enter_context(left_folder("rb-", tempfile.gettempdir()))
            unpack(self._sources, Path(folder))

    @abstractmethod
    def _loaded(self, recipe: Recipe) -> Mapping[str, Any]:
        """Load; return what decides the results."""


class ScoringActor(Actor):
    """Scores lists."""

    _reranker: Reranker

    def work(self, line: str) -> str:
        """Return a line with the answer to a line of requests."""
        try:
            with outsiders_code():
                return answer_line(self._reranker, line)
        except BenchError as error:
            return messages.of_error(error)

    def _loaded(self, recipe: Recipe) -> Mapping[str, Any]:
        base_dir = Path(recipe.base_dir)
        reranker = rerankers.build(recipe.name, recipe.options, recipe.device, base_dir)
        reranker.load()
        self._reranker = reranker
        return identified(reranker)


def _explained(error: BenchError, recipe: Recipe) -> BenchError:
    """Return an error with what to know of it, where this machine lacks what the run's has."""
    lacks = isinstance(error, Unavailable) or not Path(recipe.base_dir).exists()
    if isinstance(error, OutsiderError) or not lacks:
        return error
    return RerankerError(
        f"{error} (on the machine of an actor: what is named by a path has to be at the same path "
        "there; name a model by its hub id, or leave out --on)"
    )
