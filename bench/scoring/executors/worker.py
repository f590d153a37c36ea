"""A worker process: builds a reranker from its recipe and scores what it is sent. Not for people to
call.

`python -P -m bench.scoring.executors.worker` reads a recipe, then a line of requests per job, and
writes a line per answer. It ends with its driver: where nobody can write to it any more, it stops
at once.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import TextIO

from bench import rerankers
from bench.contract.recipe import Recipe
from bench.contract.stage import Reranker
from bench.core.errors import BenchError
from bench.core.outsiders import outsiders_code
from bench.core.plugins import look_in
from bench.rerankers.description import described
from bench.scoring.executors import messages
from bench.scoring.job import Job


def main() -> None:
    # an interrupt at the terminal reaches every process: the driver decides what it means
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    lines, answers = _private_pipes()
    recipe = messages.recipe_of(lines.get())
    reranker: Reranker | None = None
    while True:
        line = lines.get()
        try:
            with outsiders_code():
                if reranker is None:
                    reranker = _loaded(recipe)
                text = answer_line(reranker, line)
        except BenchError as error:
            text = messages.of_error(error)
        answers.write(text)
        answers.flush()


def _private_pipes() -> tuple[SimpleQueue[str], TextIO]:
    """Return the driver's lines and where answers go. Libraries may print what they like: standard
    output leads to standard error from now on.
    """
    source = os.fdopen(os.dup(0), encoding="utf-8")
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    with open(os.devnull) as nothing:
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)
    lines: SimpleQueue[str] = SimpleQueue()
    Thread(target=_read, args=(source, lines), daemon=True).start()
    return lines, answers


def _read(source: TextIO, lines: SimpleQueue[str]) -> None:
    for line in source:
        lines.put(line)
    # the driver has ended: nobody waits for what this one is at, or for what that has started
    with suppress(OSError):
        os.killpg(os.getpid(), signal.SIGKILL)
    os._exit(0)


def _loaded(recipe: Recipe) -> Reranker:
    look_in(Path(recipe.base_dir))
    reranker = rerankers.build(recipe.name, recipe.options, recipe.device, Path(recipe.base_dir))
    reranker.load()
    return reranker


def answer_line(reranker: Reranker, line: str) -> str:
    """Return a line with the answer to a line of requests."""
    requests = messages.requests_of(line)
    keys = {request.query_id: "" for request in requests}
    job = Job(requests, keys)
    answer = replace(job.answered_by(reranker), description=described(reranker))
    return messages.of_answer(answer, job.meter)


if __name__ == "__main__":
    main()
