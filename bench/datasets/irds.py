"""Anything that ir_datasets knows (MacAvaney et al. 2021): downloaded by it on first use, documents
read lazily from its store.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from bench.core.errors import BenchError, DataError, SuiteError, Unavailable
from bench.core.note import Code, Notes
from bench.core.plugins import require
from bench.datasets.base import Dataset, Extras, content_hash
from bench.datasets.grades import GradeProblem, Grades, grade
from bench.datasets.query_rows import short_fields
from bench.datasets.reading import NotDownloaded, Reading
from bench.datasets.rows import field_text

SMALL = 200_000
"""Documents up to which a collection is identified by its content, and not by what ir_datasets
declares.
"""
QUERIES_AMONG_DOCUMENTS = ("beir/arguana", "beir/quora")
"""Collections whose queries are documents under the same id: BEIR's evaluation leaves these out of
the results.
"""
KNOWN = ("query_id", "text")
"""What every query of ir_datasets has."""
UNJUDGED = ("docs", "queries")
"""What a collection has that nobody has judged."""
TREC_DL = ("msmarco-passage/trec-dl-", "msmarco-passage-v2/trec-dl-")


def load(reference: str, base_dir: Path, reading: Reading = Reading()) -> Dataset:  # noqa: B008
    """Return the dataset with an ir_datasets id. A document judged in several iterations keeps the
    last grade, as in ir_datasets and ir_measures.

    Raises SuiteError for an unknown id or one without queries and judgments, Unavailable when the
    data cannot be fetched, or would have to be where `reading` is offline. `extras["scoreddocs"]`,
    where the collection has it, is a callable that gives (query_id, doc_id, score) for its official
    candidates.
    """
    source = _find(reference) if reading.judged else _find(reference, UNJUDGED)
    notes = Notes()
    extras = Extras()
    if source.has_scoreddocs():
        extras["scoreddocs"] = partial(_scoreddocs, source, reference)
    downloads: AbstractContextManager[None] = nullcontext()
    if reading.offline:
        downloads = without_downloads(reference)
    with explained(reference), downloads:
        queries, query_fields = _queries(source, notes)
        qrels = _qrels(source, notes, reading.grades) if reading.judged else {}
        if query_fields:
            extras["query_fields"] = query_fields
        documents = IrdsDocuments(source, reference, reading.fields)
        identity = {"id": f"irds:{reference}", **_corpus_identity(reference, len(documents))}
        if reading.offline:
            next(iter(documents), None)
    return Dataset(
        id=reference,
        documents=documents,
        queries=queries,
        qrels=qrels,
        identity=identity,
        min_relevance=default_min_relevance(reference),
        warnings=notes.all(),
        skip_own=reference.startswith(QUERIES_AMONG_DOCUMENTS) or None,
        extras=extras,
    )


def default_min_relevance(reference: str) -> int:
    """Return 2 for the TREC Deep Learning passage tasks, else 1.

    Their overview papers (Craswell et al. 2019-2022) count a passage of grade 1, "related", as not
    relevant in binary measures.
    """
    if reference.startswith(TREC_DL):
        return 2
    return 1


class IrdsDocuments:
    """The Documents interface over an ir_datasets store. Every string field keeps its name, and so
    do those that the template names; there always is a `text`.
    """

    def __init__(self, source: Any, reference: str, fields: Collection[str] = ()) -> None:
        self._source = source
        self._reference = reference
        self._fields = fields

    @cached_property
    def _store(self) -> Any:
        return self._source.docs_store()

    @cached_property
    def _count(self) -> int:
        count = self._source.docs_count()
        # some are known only once the store is built
        if count is None:
            self._store.build()
            count = self._source.docs_count()
        if count is None:
            count = sum(1 for _ in self._source.docs_iter())
        return int(count)

    @property
    def is_quick(self) -> bool:
        """Return whether single documents can be had at once: for the first of them ir_datasets
        builds its store, which takes minutes.
        """
        with explained(self._reference):
            built = getattr(self._store, "built", None)
            return bool(built and built())

    def __len__(self) -> int:
        with explained(self._reference):
            return self._count

    def ids(self) -> Iterator[str]:
        with explained(self._reference):
            for doc in self._source.docs_iter():
                yield str(doc.doc_id)

    def get(self, doc_ids: Sequence[str]) -> list[Mapping[str, str]]:
        with explained(self._reference):
            docs = self._store.get_many(list(dict.fromkeys(doc_ids)))
            missing = next((doc_id for doc_id in doc_ids if doc_id not in docs), None)
            if missing is not None:
                raise DataError(f"document '{missing}' is not in irds:{self._reference}")
            fields = {doc_id: doc_fields(doc, self._fields) for doc_id, doc in docs.items()}
        return [fields[doc_id] for doc_id in doc_ids]

    def __iter__(self) -> Iterator[tuple[str, Mapping[str, str]]]:
        with explained(self._reference):
            for doc in self._source.docs_iter():
                yield str(doc.doc_id), doc_fields(doc, self._fields)


def doc_fields(doc: Any, wanted: Collection[str] = ()) -> dict[str, str]:
    """Return a document's string fields, and the wanted ones as text: numbers, and lists joined by
    spaces.

    Without a field `text`, that is its default text less the title, which templates name on their
    own.
    """
    fields: dict[str, str] = {}
    for name in doc._fields:
        value = getattr(doc, name)
        if name != "doc_id" and (isinstance(value, str) or (name in wanted and value is not None)):
            text = field_text(value)
            if text is None:
                raise DataError(
                    f"field '{name}' of document '{doc.doc_id}' is a {type(value).__name__}, "
                    "which has no text"
                )
            fields[name] = text
    if "text" not in fields:
        title = fields.get("title", "")
        if hasattr(doc, "default_text"):
            text = doc.default_text()
        else:
            text = " ".join(fields.values())
        fields["text"] = text.removeprefix(title).strip()
    return fields


@contextmanager
def without_downloads(reference: str) -> Iterator[None]:
    """Have whatever ir_datasets would download raise NotDownloaded while the block runs."""
    download = require("ir_datasets", "irds").util.download
    path = download.Download.path
    stream = download.Download.stream

    def is_here(file: Any) -> bool:
        if file._path is not None or (file._cache_path and Path(file._cache_path).exists()):
            return True
        return any(
            mirror.path(force=False).exists()
            for mirror in file.mirrors
            if isinstance(mirror, download.LocalDownload)
        )

    def refuse() -> None:
        fix = f"irds:{reference} is not on this disk: its first run downloads it"
        raise NotDownloaded("would be downloaded", fix)

    def local_path(self: Any, force: bool = True) -> Any:
        if force and not is_here(self):
            refuse()
        return path(self, force)

    def local_stream(self: Any) -> Any:
        if self._stream and not is_here(self):
            refuse()
        return stream(self)

    download.Download.path = local_path
    download.Download.stream = local_stream
    try:
        yield
    finally:
        download.Download.path = path
        download.Download.stream = stream


@contextmanager
def explained(reference: str) -> Iterator[None]:
    """Raise an error of ours, of one line, for whatever goes wrong inside ir_datasets, which
    documents no base class for it.
    """
    try:
        yield
    except (BenchError, MemoryError):
        raise
    except ImportError as error:
        raise Unavailable(f"irds:{reference} needs another package", _first_line(error)) from error
    except (OSError, RuntimeError) as error:
        fix = (
            f"irds:{reference}: {_first_line(error)}. It is downloaded on first use: check the "
            "network, or the files that it names"
        )
        raise Unavailable("dataset not reachable", fix) from error
    except Exception as error:
        raise DataError(
            f"irds:{reference}: ir_datasets cannot read it ({type(error).__name__}: "
            f"{_first_line(error)})"
        ) from error


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)


def _find(reference: str, parts: Sequence[str] = (*UNJUDGED, "qrels")) -> Any:
    registry = require("ir_datasets", "irds").registry
    try:
        source = registry[reference]
    except KeyError as error:
        hint = "https://ir-datasets.com lists them all"
        close = difflib.get_close_matches(reference, list(registry), n=3)
        if close:
            hint = f"did you mean {' or '.join(close)}?"
        raise SuiteError(f"irds:{reference}: ir_datasets knows no such dataset; {hint}") from error
    lacking = [part for part in parts if not source.has(part)]
    if lacking:
        problem = f"irds:{reference}: has no {' and no '.join(lacking)}"
        subsets = [name for name in registry if name.startswith(f"{reference}/")][:5]
        if subsets:
            problem = f"{problem}; choose a subset, such as {', '.join(subsets)}"
        raise SuiteError(problem)
    return source


def _corpus_identity(reference: str, count: int) -> dict[str, str]:
    """Return what identifies a collection that is too large to be hashed. Subsets that share their
    documents share it.
    """
    if count <= SMALL:
        return {}
    ir_datasets = require("ir_datasets", "irds")
    declared = (ir_datasets.docs_parent_id(reference), str(count), ir_datasets.__version__)
    return {
        "corpus_hash": content_hash([declared]),
        "corpus_hash_kind": "declared",
        "corpus": f"{declared[0]}, {count} documents, ir_datasets {declared[2]}",
    }


def _queries(source: Any, notes: Notes) -> tuple[dict[str, str], dict[str, dict[str, str]]]:
    """Return query_id -> text, and query_id -> other short fields; queries without a text are left
    out, and counted.
    """
    queries: dict[str, str] = {}
    fields: dict[str, dict[str, str]] = {}
    for query in source.queries_iter():
        if hasattr(query, "default_text"):
            text = query.default_text()
        else:
            text = getattr(query, "text", None)
        if not isinstance(text, str):
            raise DataError(f"query '{query.query_id}' of type {type(query).__name__} has no text")
        if text.strip():
            queries[str(query.query_id)] = text.strip()
            others = {name: getattr(query, name) for name in query._fields if name not in KNOWN}
            if short := short_fields(others):
                fields[str(query.query_id)] = short
        else:
            notes.add(Code.BLANK_QUERIES, 1)
    return queries, fields


def _qrels(source: Any, notes: Notes, labels: Grades | None) -> dict[str, dict[str, int]]:
    qrels: dict[str, dict[str, int]] = {}
    for judgment in source.qrels_iter():
        grades = qrels.setdefault(str(judgment.query_id), {})
        doc_id = str(judgment.doc_id)
        notes.add(Code.JUDGED_AGAIN, int(doc_id in grades))
        try:
            grades[doc_id] = grade(judgment.relevance, labels)
        except GradeProblem as error:
            problem = f"query '{judgment.query_id}', document '{doc_id}': {error}"
            raise DataError(problem) from error
    return qrels


def _scoreddocs(source: Any, reference: str) -> Iterator[tuple[str, str, float]]:
    with explained(reference):
        for scored in source.scoreddocs_iter():
            yield str(scored.query_id), str(scored.doc_id), float(scored.score)
