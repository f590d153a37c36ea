"""A worker as its driver sees it: a process, and the pipes to it."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from contextlib import suppress

from bench.contract.recipe import Recipe
from bench.core.fresh_python import end, environment, last_line, start
from bench.core.printable import one_line, shortened
from bench.core.redaction import redacted_text
from bench.scoring.executors import messages
from bench.scoring.job import Answer, Job

MODULE = "bench.scoring.executors.worker"
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "RAYON_NUM_THREADS",
)


class WorkerDied(Exception):
    """A worker has ended before it answered. Says how. `was_killed` where the system, or somebody,
    took it without asking, as happens where memory does not suffice.
    """

    def __init__(self, ending: str, *, was_killed: bool = False) -> None:
        super().__init__(ending)
        self.was_killed = was_killed


class UnreadableAnswer(Exception):
    """What a worker wrote is no answer to what it was asked. Says how it begins, or whose it is."""


class WorkerProcess:
    """A process that scores one job at a time. Close it: a worker waits for work for ever."""

    def __init__(self, recipe: Recipe, threads: int) -> None:
        limits = dict.fromkeys(THREAD_VARIABLES, str(threads))
        # `close` closes it
        self._errors = tempfile.TemporaryFile(prefix="rerank-bench-")  # noqa: SIM115
        self._process = start(
            MODULE, self._errors, stdout=subprocess.PIPE, env={**environment(), **limits}
        )
        self._first = messages.of_recipe(recipe)

    def answer(self, job: Job) -> Answer:
        """Return the answer to a job. Raises WorkerDied, or what the reranker raised."""
        to_worker = self._process.stdin
        from_worker = self._process.stdout
        if to_worker is None or from_worker is None:
            raise WorkerDied("there is no pipe to it")
        try:
            to_worker.write(self._first + messages.of_requests(job.requests))
            to_worker.flush()
            line = from_worker.readline()
        except (OSError, ValueError):
            # its end of a pipe is closed, or ours, by `kill` in another thread
            line = ""
        self._first = ""
        if not line.endswith("\n"):
            raise self._death()
        try:
            answer = messages.answer_of(line, job.meter)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UnreadableAnswer(repr(shortened(line.strip(), 60))) from error
        if answer.query_ids != job.query_ids:
            raise UnreadableAnswer("it is that of other queries")
        return answer

    def kill(self) -> None:
        """End the process, whatever it is at."""
        end(self._process)

    def close(self) -> None:
        """End the process and free its pipes. Nobody waits for an answer any more."""
        self.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            # what was not written is for nobody
            with suppress(OSError):
                if pipe is not None:
                    pipe.close()
        self._errors.close()

    def _death(self) -> WorkerDied:
        """Return how the process ended, with the last line that it printed where that may say
        why.
        """
        code = self._process.wait()
        if code == -signal.SIGKILL:
            return WorkerDied(f"was killed by {_signal_name(-code)}", was_killed=True)
        self._errors.seek(0, os.SEEK_SET)
        printed = last_line(self._errors.read().decode("utf-8", "replace"))
        printed = shortened(redacted_text(one_line(printed)))
        if code < 0:
            return WorkerDied(f"was killed by {_signal_name(-code)}: {printed}")
        return WorkerDied(f"ended with code {code}: {printed}")


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
