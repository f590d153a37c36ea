"""Everything that decides a training, as one digest: what the cache keeps it under."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.contract.request import CandidateList
from bench.core.digest import digest_of, file_digest
from bench.core.version import installed
from bench.datasets.base import Dataset, Qrels, content_hash
from bench.learning import features, models
from bench.learning.collection import Collection
from bench.learning.options import LtrOptions

LAYOUT = 1
"""Of what the cache keeps: another number where it could not be read any more."""
WORDS = ("bm25s", "PyStemmer")
"""The libraries that cut and weigh words."""


@dataclass(frozen=True)
class QuerySet:
    """A dataset, with a list for each of its judged queries that has candidates."""

    dataset: Dataset
    requests: Sequence[CandidateList]


def training_key(
    options: LtrOptions, collection: Collection, sets: Sequence[QuerySet], depth: int
) -> str | None:
    """Return what decides a training: `sets` are the queries that are measured, and those of
    another dataset that is trained on. None where it is not known: over a collection without a
    hash, where an outsider's code decides scores of other stages, or with a function whose code is
    in no file.
    """
    if any("corpus_hash" not in own.dataset.identity for own in sets):
        return None
    sources = collection.sources()
    functions = features.code_digests(options.functions)
    if sources is None or not all(functions.values()):
        return None
    loaded = None
    if options.load is not None:
        loaded = file_digest(Path(options.load))
    return digest_of(
        {
            "layout": LAYOUT,
            "features": features.VERSION,
            "functions": functions,
            "options": options.model_dump(mode="json", exclude={"name", "optional", "load"}),
            "load": loaded,
            "libraries": models.libraries(options),
            "words": {name: installed(name) for name in WORDS},
            "sets": [_of_set(own, options.fields) for own in sets],
            "sources": sources,
            "firsts": collection.firsts_hash(),
            "depth": depth,
        }
    )


def anonymous_key(own: QuerySet) -> str:
    """Return a key for a training that is not stored."""
    return digest_of([own.dataset.id, _lists_hash(own.requests)])


def _of_set(own: QuerySet, fields: Sequence[str]) -> list[object]:
    dataset = own.dataset
    return [
        dict(dataset.identity),
        dataset.template,
        _judgments_hash(dataset.qrels),
        _lists_hash(own.requests),
        _numbers_hash(dataset, fields),
    ]


def _lists_hash(requests: Sequence[CandidateList]) -> str:
    """Return a content hash of queries, documents and the scores of the stage before."""
    return content_hash(
        (
            request.query_id,
            request.query,
            *request.doc_ids,
            *map(float.hex, map(float, request.scores)),
        )
        for request in requests
    )


def _judgments_hash(qrels: Qrels) -> str:
    rows: list[tuple[str, str, str]] = []
    for query_id, grades in qrels.items():
        rows += [(query_id, doc_id, str(grade)) for doc_id, grade in grades.items()]
    return content_hash(sorted(rows))


def _numbers_hash(dataset: Dataset, fields: Sequence[str]) -> str:
    """Return a content hash of the numeric fields that are features."""
    if not fields:
        return ""
    doc_ids = sorted(dataset.documents.ids())
    columns = [dataset.numbers(doc_ids, name) for name in fields]
    rows = zip(doc_ids, *columns, strict=True)
    return content_hash(tuple(map(str, row)) for row in rows)
