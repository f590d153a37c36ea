"""A collection in a folder of files, in our own layout, in BEIR's, or in a mixture.

Ours: `docs.jsonl` (doc_id, text, optionally title and any other fields), `queries.tsv` (id, tab,
text), `qrels.txt` (TREC: query id, iteration, document id, grade). BEIR's (Thakur et al. 2021):
`corpus.jsonl` (_id, title, text), `queries.jsonl` (_id, text), `qrels/SPLIT.tsv` (header query-id,
corpus-id, score). Any file may be compressed. Without documents, or without documents and queries,
the ids alone serve rows that read no texts.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from itertools import chain, product
from pathlib import Path
from typing import NamedTuple

from bench.core.errors import DataError, SuiteError, nearest
from bench.core.note import Code, Notes
from bench.core.paths import expanded
from bench.datasets import provenance
from bench.datasets.base import Dataset, Documents, Extras, NoDocuments
from bench.datasets.document_rows import read_documents
from bench.datasets.judgment_rows import Qrels, read_qrels
from bench.datasets.lines import SUFFIXES, count_lines
from bench.datasets.memory import MemoryDocuments, SampledDocuments
from bench.datasets.query_rows import QueryRows, read_queries
from bench.datasets.reading import Reading

OURS = ("docs.jsonl", "queries.tsv", "qrels.txt")
BEIR = ("corpus.jsonl", "queries.jsonl", "qrels/*.tsv")
DOCUMENTS = ("docs.jsonl", "corpus.jsonl")
QUERIES = ("queries.tsv", "queries.jsonl")
QRELS = ("qrels.txt", "qrels.tsv", "qrels.csv", "qrels.jsonl")
"""Names of each kind of file, the first that is there is read."""
SPLITS = (".tsv", ".txt", ".jsonl")
DEFAULT_SPLIT = "test"
LISTED = 12
"""Names of a folder's files in a message."""
SAMPLED_FROM = 100_000_000
"""Bytes of a documents file from which a check reads its first rows only."""


def load(reference: str, base_dir: Path, reading: Reading = Reading()) -> Dataset:  # noqa: B008
    """Return the collection in a folder: `PATH` relative to `base_dir`, or `PATH#SPLIT` for one of
    BEIR's splits (else `test` or the only one).
    """
    try:
        folder, split = locate(reference, base_dir)
        if folder.is_file():
            raise SuiteError(_not_a_folder(reference, folder))
        if not folder.is_dir():
            raise SuiteError(_no_folder(reference, folder))
        return read_folder(folder, split, "files", reading)
    except OSError as error:  # no permission, a name that is too long
        raise DataError(f"files:{reference}: cannot be read: {error.strerror or error}") from error


def locate(reference: str, base_dir: Path) -> tuple[Path, str]:
    """Return the folder that a reference means, there or not, and the split: a '#' belongs to the
    name where such a folder exists.
    """
    folder = base_dir / expanded(reference)
    path, sign, split = reference.rpartition("#")
    if folder.exists() or not sign or not path:
        return folder, ""
    return base_dir / expanded(path), split


def read_folder(folder: Path, split: str, kind: str, reading: Reading = Reading()) -> Dataset:  # noqa: B008
    """Return a dataset from a folder. Its id is the folder's name, never its path.

    Raises DataError naming file and line.
    """
    notes = Notes()
    name = folder.resolve().name
    if split:
        name = f"{name}#{split}"
    qrels: Qrels = {}
    is_split = bool(split)
    judge = None
    if reading.judged:
        judgments, is_split = _judgments(folder, split, notes)
        qrels = read_qrels(judgments, notes, reading.grades)
        judge = provenance.facts_of(judgments, qrels)
    rows = _queries(folder, qrels, notes)
    queries: Mapping[str, str] = rows.queries
    texts = _texts(folder, set(chain.from_iterable(qrels.values())), notes, reading)
    # one file holds the queries of every split
    if is_split:
        own_queries = {query_id: text for query_id, text in queries.items() if query_id in qrels}
        queries = own_queries or queries
    if rows.fields:
        texts.extras["query_fields"] = rows.fields
    return Dataset(
        id=name,
        documents=texts.documents,
        queries=queries,
        qrels=qrels,
        identity={"id": f"{kind}:{name}"},
        warnings=notes.all(),
        has_texts=texts.is_there,
        documents_read=texts.read,
        extras=texts.extras,
        judge=judge,
    )


class _Texts(NamedTuple):
    """The documents of a folder; `read` is how many of them were read, where these are not all."""

    documents: Documents
    extras: Extras
    is_there: bool = True
    read: int | None = None


def _texts(folder: Path, judged: set[str], notes: Notes, reading: Reading) -> _Texts:
    path = _find(folder, DOCUMENTS, notes)
    if path is None:
        return _Texts(NoDocuments(_missing(folder, OURS[0])), Extras(), is_there=False)
    if reading.limit is not None and path.is_file() and path.stat().st_size > SAMPLED_FROM:
        rows = read_documents(path, notes, reading.fields, reading.limit)
        documents = SampledDocuments(rows.documents, count_lines(path))
        return _Texts(documents, Extras(), read=len(rows.documents))
    rows = read_documents(path, notes, reading.fields)
    rows.check(judged, notes)
    extras = Extras()
    if rows.numbers:
        extras["numbers"] = rows.numbers
    return _Texts(MemoryDocuments(rows.documents), extras)


def _queries(folder: Path, qrels: Qrels, notes: Notes) -> QueryRows:
    path = _find(folder, QUERIES, notes)
    if path is None:
        if _find(folder, DOCUMENTS, Notes()) is not None:
            raise DataError(_missing(folder, OURS[1]))
        return QueryRows(folder, dict.fromkeys(qrels, ""))
    rows = read_queries(path, notes)
    rows.check(qrels, notes)
    return rows


def _judgments(folder: Path, split: str, notes: Notes) -> tuple[Path, bool]:
    """Return the file of judgments, and whether it is one of several splits: the one that is named,
    else `test`, else the only one.
    """
    single = _find(folder, QRELS, notes)
    splits = _splits(folder)
    if single is not None and not (split and splits):
        if split:
            problem = f"'#{split}': splits belong to BEIR's layout, and {folder} has {single.name}"
            raise SuiteError(f"{problem}; leave it out")
        return single, False
    if not splits:
        raise DataError(_missing(folder, OURS[2]))
    if split and split not in splits:
        raise SuiteError(
            f"{folder}: there are no qrels for split '{split}': {nearest(split, splits)}"
        )
    if not split and len(splits) > 1 and DEFAULT_SPLIT not in splits:
        raise SuiteError(
            f"{folder}: choose a split with {' or '.join(f'#{name}' for name in splits)}"
        )
    if not split:
        split = next(iter(splits))
        if DEFAULT_SPLIT in splits:
            split = DEFAULT_SPLIT
    return splits[split], True


def _splits(folder: Path) -> Mapping[str, Path]:
    """Return split -> its file, by name."""
    names = {path.name: path for path in sorted((folder / "qrels").glob("*"))}
    splits: dict[str, Path] = {}
    for ending in SPLITS:
        for suffix in SUFFIXES:
            for name, path in names.items():
                if name.endswith(ending + suffix):
                    splits.setdefault(name.removesuffix(ending + suffix), path)
    return dict(sorted(splits.items()))


def _find(folder: Path, names: tuple[str, ...], notes: Notes) -> Path | None:
    """Return the first file of a kind; others of the same kind are noted, since they stay
    unread.
    """
    paths = [folder / f"{name}{suffix}" for name, suffix in product(names, SUFFIXES)]
    paths = [path for path in paths if path.exists()]
    if len(paths) > 1:
        unread = ", ".join(path.name for path in paths[1:])
        notes.add(Code.UNREAD_FILES, len(paths) - 1, file=paths[0].name, unread=unread)
    return next(iter(paths), None)


def _missing(folder: Path, name: str) -> str:
    """Return the message for a folder that lacks a file."""
    names = sorted(f"{path.name}/" if path.is_dir() else path.name for path in folder.iterdir())
    content = ", ".join(names[:LISTED]) or "an empty folder"
    if len(names) > LISTED:
        content = f"{content}, ..."
    expected = (
        f"{' + '.join(OURS)} (ours) or {' + '.join(BEIR)} (BEIR's), each plain or "
        f"{', '.join(SUFFIXES[1:])}"
    )
    documents = _find(folder, DOCUMENTS, Notes())
    problem = "no collection"
    if name == OURS[0]:
        problem = f"no {name}"
    elif documents:
        problem = f"{documents.name} is there, but no {name}"
    hint = ""
    if name == OURS[2] and documents:
        hint = ". Without judgments there is the option qrels: none (docs/judging.md)"
    return f"{folder}: {problem}. Looked for {expected}; found {content}{hint}"


def _not_a_folder(reference: str, path: Path) -> str:
    """Return the message for a reference to a file."""
    if zipfile.is_zipfile(path):
        return f"files:{reference}: is a zip archive: unpack it and name the folder"
    return f"files:{reference}: is a file: name the folder that holds it"


def _no_folder(reference: str, folder: Path) -> str:
    problem = f"files:{reference}: there is no folder {folder}"
    if not folder.parent.is_dir():
        return problem
    neighbours = [
        path.name
        for path in folder.parent.iterdir()
        if path.is_dir() and not path.name.startswith(".")
    ]
    if not neighbours:
        return problem
    return f"{problem}: {nearest(folder.name, neighbours)}"
