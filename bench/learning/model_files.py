"""The files of a trained model in a run's folder, and the check that a model which is loaded was
not trained on the queries that it is measured on.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.core.counting import counted
from bench.core.errors import DataError
from bench.datasets.base import Dataset, content_hash
from bench.datasets.folds import same_text
from bench.learning.models.base import Model
from bench.learning.training import Trained

QUERIES = "trained_on"
"""The key under which a model of this project has a hash of each query it was trained on."""
SHOWN = 3


def files_of(trained: Trained, queries: Sequence[str]) -> Mapping[str, bytes]:
    """Return the files of a training: the end of a name, and contents. The model of all queries is
    what `load` takes; those of the folds scored the run.
    """
    files = {trained.final.ending: _file(trained.final, queries)}
    for number, model in enumerate(trained.of_fold, start=1):
        files[f".fold-{number}{model.ending}"] = _file(model, ())
    return files


def refuse_known(path: Path, dataset: Dataset) -> None:
    """Raise DataError where a model of this project was trained on queries that are measured: it
    names them. Other files do not say what they were trained on.
    """
    if path.suffix != ".json":
        return
    known = set(json.loads(path.read_text(encoding="utf-8")).get(QUERIES, ()))
    shared = [query_id for query_id in dataset.qrels if _hash(dataset.queries[query_id]) in known]
    if shared:
        names = ", ".join(map(repr, shared[:SHOWN]))
        more = ""
        if len(shared) > SHOWN:
            more = f" and {len(shared) - SHOWN} more"
        raise DataError(
            f"ltr: load: {path.name} was trained on {counted(len(shared), 'query')} that are "
            f"measured in {dataset.id}: {names}{more}; load a model of other queries, or leave "
            "'load' out"
        )


def _file(model: Model, queries: Sequence[str]) -> bytes:
    text = model.to_text()
    if model.kind == "linear" and queries:
        fields = json.loads(text)
        fields[QUERIES] = sorted({_hash(query) for query in queries})
        text = json.dumps(fields, indent=1)
    return f"{text}\n".encode()


def _hash(query: str) -> str:
    return content_hash([(same_text(query),)])
