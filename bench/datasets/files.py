"""A collection in a folder of files, in our own layout or in BEIR's.

Ours: `docs.jsonl` (doc_id, text, optionally title and any other string fields), `queries.tsv` (id, tab, text), `qrels.txt` (TREC:
query id, iteration, document id, grade). BEIR's (Thakur et al. 2021): `corpus.jsonl` (_id, title, text), `queries.jsonl` (_id, text),
`qrels/SPLIT.tsv` (header query-id, corpus-id, score). Any file may be gzipped.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from bench.datasets.base import Dataset
from bench.datasets.lines import Notes, told
from bench.datasets.memory import MemoryDocuments
from bench.datasets.rows import read_documents, read_json_queries, read_qrels, read_tsv_queries
from bench.errors import DataError, SuiteError, nearest

OURS = ("docs.jsonl", "queries.tsv", "qrels.txt")
BEIR = ("corpus.jsonl", "queries.jsonl", "qrels/*.tsv")
DEFAULT_SPLIT = "test"


def load(reference: str, base_dir: Path) -> Dataset:
    """The collection in a folder: `PATH` relative to `base_dir`, or `PATH#SPLIT` for one of BEIR's splits (else `test` or the only one)."""
    folder, split = base_dir / Path(reference).expanduser(), ""
    if not folder.is_dir():
        path, _, split = reference.rpartition("#")
        folder = base_dir / Path(path or reference).expanduser()
    if not folder.is_dir():
        raise SuiteError(_no_folder(reference, folder))
    return read_folder(folder, split, "files")


def read_folder(folder: Path, split: str, kind: str) -> Dataset:
    """A dataset from a folder in either layout. Its id is the folder's name, never its path. Raises DataError naming file and line."""
    notes = Notes()
    name = folder.resolve().name + (f"#{split}" if split else "")
    beir = _find(folder, OURS[0]) is None
    if beir and _find(folder, BEIR[0]) is None:
        raise DataError(_missing(folder, OURS[0], OURS))
    if split and not beir:
        raise SuiteError(f"'#{split}': splits belong to BEIR's layout, and {folder} has {OURS[0]}; leave it out")
    layout = BEIR if beir else OURS
    documents = read_documents(_required(folder, layout[0], layout), "_id" if beir else "doc_id", notes)
    queries = (read_json_queries if beir else read_tsv_queries)(_required(folder, layout[1], layout), notes)
    qrels = read_qrels(_split(folder, split) if beir else _required(folder, layout[2], layout), notes, beir=beir)
    if beir:  # one file holds the queries of every split
        queries = {query_id: text for query_id, text in queries.items() if query_id in qrels} or queries
    return Dataset(
        id=name,
        documents=MemoryDocuments(documents),
        queries=queries,
        qrels=qrels,
        identity={"id": f"{kind}:{name}"},
        warnings=told(notes),
    )


def _find(folder: Path, name: str) -> Path | None:
    return next((path for path in (folder / name, folder / f"{name}.gz") if path.is_file()), None)


def _required(folder: Path, name: str, layout: tuple[str, ...]) -> Path:
    path = _find(folder, name)
    if path is None:
        raise DataError(_missing(folder, name, layout))
    return path


def _split(folder: Path, split: str) -> Path:
    """The qrels file of one split: the one asked for, else `test`, else the only one."""
    found = _splits(folder)
    if not found:
        raise DataError(_missing(folder, BEIR[2], BEIR))
    if split and split not in found:
        raise SuiteError(f"{folder}: there are no qrels for split '{split}': {nearest(split, found)}")
    chosen = split or (DEFAULT_SPLIT if DEFAULT_SPLIT in found else next(iter(found)))
    if not split and len(found) > 1 and DEFAULT_SPLIT not in found:
        raise SuiteError(f"{folder}: choose a split with {' or '.join(f'#{name}' for name in found)}")
    return found[chosen]


def _splits(folder: Path) -> Mapping[str, Path]:
    paths = [*sorted((folder / "qrels").glob("*.tsv.gz")), *sorted((folder / "qrels").glob("*.tsv"))]
    return {path.name.removesuffix(".gz").removesuffix(".tsv"): path for path in paths}


def _missing(folder: Path, name: str, layout: tuple[str, ...]) -> str:
    names = sorted(f"{path.name}/" if path.is_dir() else path.name for path in folder.iterdir())
    shown = ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
    looked = f"{' + '.join(OURS)} (ours) or {' + '.join(BEIR)} (BEIR's), each plain or .gz"
    which = "no collection" if name == OURS[0] else f"{layout[0]} is there, but no {name}"
    return f"{folder}: {which}. Looked for {looked}; found {shown or 'an empty folder'}"


def _no_folder(reference: str, folder: Path) -> str:
    problem = f"files:{reference}: there is no folder {folder}"
    if not folder.parent.is_dir():
        return problem
    beside = [path.name for path in folder.parent.iterdir() if path.is_dir() and not path.name.startswith(".")]
    return f"{problem}: {nearest(folder.name, beside)}" if beside else problem
