"""Trainings that are killed, each in a process of its own. They are forked off one that has
imported the libraries and computed nothing: torch refuses to train in a fork of a process that has
trained in some ways.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Self
from unittest.mock import patch

from bench.core.kept_folder import seal
from bench.core.progress import Advance, Observer
from tests.support import made_training
from tests.support.paths import ROOT

LIBRARIES = (
    "bench.training.checkpoints",
    "bench.training.fit",
    "bench.training.trainer",
    "datasets",
    "sentence_transformers.cross_encoder.trainer",
)


class KilledTrainings:
    """The process that others are forked off."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__],
            cwd=ROOT,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        with self._process:
            pass

    def train(self, folder: Path, step: int, *, while_saving: bool = False, **fields: Any) -> int:
        """Return the exit code of a training that is killed at a step, or while the checkpoint of a
        step is written.
        """
        orders, answers = self._process.stdin, self._process.stdout
        assert orders is not None
        assert answers is not None
        print(json.dumps([str(folder), step, while_saving, fields]), file=orders, flush=True)
        return int(answers.readline())


class Killer(Observer):
    """Kills its process when a training has come to a step."""

    def __init__(self, step: int) -> None:
        self._left = step

    @contextmanager
    def task(self, label: str, total: int, unit: str) -> Iterator[Advance]:
        yield self._count

    def _count(self, done: int) -> None:
        self._left -= done
        if not self._left:
            os.kill(os.getpid(), signal.SIGKILL)


def _train_until(folder: Path, fields: Mapping[str, Any], step: int) -> None:
    made_training.train(folder, fields, Killer(step))


def _train_into_a_checkpoint(folder: Path, fields: Mapping[str, Any], step: int) -> None:
    """Kill the process when a checkpoint is there but for the digests of its files."""

    def kill(path: Path) -> None:
        if path.name == f"checkpoint-{step}":
            os.kill(os.getpid(), signal.SIGKILL)
        seal(path)

    with patch("bench.training.checkpoints.seal", kill):
        made_training.train(folder, fields, Observer())


def serve(orders: IO[str], answers: IO[str]) -> None:
    """Do what the lines of a stream ask for, and answer each with an exit code."""
    for name in LIBRARIES:
        importlib.import_module(name)
    for line in orders:
        folder, step, while_saving, fields = json.loads(line)
        child = os.fork()
        if not child:
            os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
            work = _train_into_a_checkpoint if while_saving else _train_until
            work(Path(folder), fields, step)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), file=answers, flush=True)


if __name__ == "__main__":
    serve(sys.stdin, sys.stdout)
