"""Small trainings with real parts: lists whose positives repeat the query, a network with random
weights, and children that are killed at a step.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.core.progress import Observer
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
    return train(folder, fields, Observer())


def train(folder: Path, fields: Mapping[str, Any], observer: Observer) -> Fitted:
    """Return a training that tells an observer how far it is."""
    return fit(recipe(**fields), data(), folder, observer, "cpu")
