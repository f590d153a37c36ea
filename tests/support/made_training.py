"""Small trainings with real parts: lists whose positives repeat the query, a network with random
weights, and children that are killed at a step.
"""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from unittest.mock import patch

from bench.core.kept_folder import seal
from bench.core.progress import Advance, Observer
from bench.models.tiny import WORDS
from bench.training.fit import Fitted, fit
from bench.training.lists import DataFacts, TrainingData, TrainingList
from bench.training.recipe import Recipe, load

NEGATIVES = 3
BASES = {
    "cross-encoder": "tiny:bert-cross-encoder",
    "bi-encoder": "tiny:bert-bi-encoder",
    "late-interaction": "tiny:colbert",
}


def recipe(**fields: Any) -> Recipe:
    """Return a recipe of a few steps over `data`."""
    kind = fields.get("kind", "cross-encoder")
    return load(
        {
            "name": "made",
            "base": BASES[kind],
            "data": "embedded:everyday-train",
            "epochs": 2,
            "batch": 16,
            "length": 32,
            "rate": 0.001,
            "checks": 2,
            "patience": None,
            "dtype": "float32",
            **fields,
        }
    )


def data(queries: int = 10, dev: int = 4) -> TrainingData:
    """Return lists of one positive and some negatives, the same each time."""
    generator = random.Random(0)
    lists = [_list(number, generator) for number in range(queries + dev)]
    train, held_out = lists[:queries], lists[queries:]
    qrels = {row.query_id: {row.doc_ids[0]: 1} for row in held_out}
    facts = DataFacts(queries=queries, dev_queries=dev, positives=queries, hard=NEGATIVES * queries)
    return TrainingData(train, held_out, qrels, {row.query_id: 1 for row in lists}, facts)


def _list(number: int, generator: random.Random) -> TrainingList:
    query = _text(4, generator)
    documents = [f"{query} {_text(3, generator)}"]
    documents += [_text(7, generator) for _ in range(NEGATIVES)]
    doc_ids = [f"d{number}-{place}" for place in range(len(documents))]
    labels = [1.0] + [0.0] * NEGATIVES
    return TrainingList(f"q{number}", query, doc_ids, documents, labels)


def _text(words: int, generator: random.Random) -> str:
    return " ".join(generator.choice(WORDS) for _ in range(words))


def trained(folder: Path, **fields: Any) -> Fitted:
    """Return a finished training."""
    return fit(recipe(**fields), data(), folder, Observer(), "cpu")


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
    fit(recipe(**fields), data(), folder, Killer(step), "cpu")


def _train_into_a_checkpoint(folder: Path, fields: Mapping[str, Any], step: int) -> None:
    """Kill the process when a checkpoint is there but for the digests of its files."""

    def kill(path: Path) -> None:
        if path.name == f"checkpoint-{step}":
            os.kill(os.getpid(), signal.SIGKILL)
        seal(path)

    with patch("bench.training.checkpoints.seal", kill):
        fit(recipe(**fields), data(), folder, Observer(), "cpu")


def killed(folder: Path, step: int, *, while_saving: bool = False, **fields: Any) -> int | None:
    """Train in another process that is killed at a step, and return its exit code. It is forked off
    this one, whose libraries are imported: torch must have one thread, as in workers of its own.
    """
    context = get_context("fork")
    work = _train_into_a_checkpoint if while_saving else _train_until
    process = context.Process(target=work, args=(folder, fields, step))
    process.start()
    process.join(600)
    if process.is_alive():
        process.kill()
        process.join()
        raise TimeoutError("the training did not come to the step at which it is killed")
    return process.exitcode
