"""The files of a trained model in a run's folder, and the check that a model which is loaded was
not trained on the queries that it is measured on.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.core.counting import counted
from bench.core.digest import file_digest
from bench.core.errors import DataError
from bench.core.json_file import read_json
from bench.datasets.base import Dataset, content_hash
from bench.datasets.folds import same_text
from bench.learning.models.base import Model
from bench.learning.training import Trained

OURS = "linear"
"""The kind of model whose file is of this project, and says itself what it was trained on."""
PROVENANCE = ".provenance.json"
"""How the file ends that is next to any other model, and says it."""
QUERIES = "trained_on"
"""The key under which a file has a hash of each query that the model was trained on."""
DIGEST = "model"
"""The key under which it has the digest of the model's file."""
SHOWN = 3


def files_of(trained: Trained, queries: Sequence[str], dataset: str) -> Mapping[str, bytes]:
    """Return the files of a training: the end of a name, and contents. The model of all queries is
    what `load` takes; those of the folds scored the run. Next to a model whose own format does not
    say what it was trained on is a file that does.
    """
    final = trained.final
    ending = final.ending
    files = {ending: _file(final, queries)}
    for number, model in enumerate(trained.of_fold, start=1):
        files[f".fold-{number}{model.ending}"] = _file(model, ())
    if queries and final.kind != OURS:
        files[f"{ending}{PROVENANCE}"] = _provenance(files[ending], queries, dataset)
    return files


def training_of(path: Path) -> frozenset[str] | None:
    """Return a hash of each query that a model was trained on: of a model of this project from
    itself, of any other from the file next to it; None where neither says it. Raises DataError for
    a file next to it that is of another model, or cannot be read.
    """
    if path.suffix == ".json":
        try:
            fields = read_json(path)
            if isinstance(fields, dict) and QUERIES in fields:
                return frozenset(map(str, fields[QUERIES]))
        except (OSError, ValueError, TypeError) as error:
            raise DataError(f"ltr: load: {path.name} cannot be read: {error}") from error
    companion = path.with_name(f"{path.name}{PROVENANCE}")
    if not companion.is_file():
        return None
    try:
        fields = read_json(companion)
        known, digest = frozenset(map(str, fields[QUERIES])), fields[DIGEST]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"ltr: load: {companion.name} does not say what {path.name} was trained on "
            f"({error!r}): copy it anew from the run that trained the model, or remove it"
        ) from error
    if digest != file_digest(path):
        raise DataError(
            f"ltr: load: {companion.name} is of another model than {path.name}: copy both from one "
            "run, or remove it"
        )
    return known


def refuse_known(path: Path, dataset: Dataset) -> None:
    """Raise DataError where a model was trained on queries that are measured: it names them."""
    known = training_of(path) or frozenset()
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
    if model.kind == OURS and queries:
        fields = json.loads(text)
        fields[QUERIES] = _hashes(queries)
        text = json.dumps(fields, indent=1)
    return f"{text}\n".encode()


def _provenance(model: bytes, queries: Sequence[str], dataset: str) -> bytes:
    fields = {
        DIGEST: hashlib.sha256(model).hexdigest(),
        "dataset": dataset,
        QUERIES: _hashes(queries),
    }
    return f"{json.dumps(fields, indent=1)}\n".encode()


def _hashes(queries: Sequence[str]) -> list[str]:
    return sorted({_hash(query) for query in queries})


def _hash(query: str) -> str:
    return content_hash([(same_text(query),)])
