"""The scores that the stages of a run gave: a file per trial, written along with its rankings and
read back to the same bits.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from bench.contract.candidates import Block, Compact, QueryCandidates
from bench.core.atomic import whole_file
from bench.core.errors import RecordError
from bench.core.numbering import numbers_of_names
from bench.ranking import query_tables
from bench.records.cells import REPEAT
from bench.records.tables import SCORES, path_of, stretches

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

TOGETHER = 2**14
"""Rows that are written, and read, together: who looks for some queries reads little else."""
WriteScores = Callable[[str, QueryCandidates], None]
"""Adds the scores of one query."""


def no_scores(query_id: str, scores: QueryCandidates) -> None:
    """Keep nothing."""


@contextmanager
def score_writer(folder: Path, trial: str) -> Iterator[WriteScores]:
    """Yield a function that adds a query's scores to the file of a trial, which is there when the
    block ends well. At most TOGETHER rows and a query's are in memory at once.
    """
    import pyarrow.parquet as pq

    rows = _Rows(trial)
    with (
        whole_file(path_of(folder, SCORES, trial)) as file,
        pq.ParquetWriter(file, SCORES.schema, write_page_checksum=True) as writer,
    ):

        def write(query_id: str, scores: QueryCandidates) -> None:
            rows.add(query_id, scores)
            if len(rows) >= TOGETHER:
                writer.write_batch(rows.take())

        yield write
        writer.write_batch(rows.take())


def read_scores(
    folder: Path, trial: str, only: Collection[str] | None = None
) -> Mapping[str, QueryCandidates]:
    """Return query id -> the documents that a trial's stage scored, with the scores that it gave,
    in the order of the trial's ranking, of all queries or of some. Those of a first stage may rise.
    Empty where the run keeps none, as older ones.

    Raises RecordError for a file that cannot be read, or that has a document of a query twice.
    """
    path = path_of(folder, SCORES, trial)
    if not path.is_file():
        return {}
    return Compact.of_blocks(_blocks(path, only))


def stream_scores(
    folder: Path, trial: str, only: Collection[str] | None = None
) -> Iterator[tuple[str, QueryCandidates]]:
    """Yield the same query by query, as they are read: who stops reads no further."""
    path = path_of(folder, SCORES, trial)
    if path.is_file():
        for block in _blocks(path, only):
            yield from Compact.of_blocks([block]).items()


def _blocks(path: Path, only: Collection[str] | None) -> Iterator[Block]:
    """Yield the queries of a file, each whole, some rows of which are in memory at once."""
    tables = stretches(path, SCORES, only=None if only is None else frozenset(only))
    seen: set[str] = set()
    for rows in query_tables.whole_queries(tables, "query"):
        yield _block(path, rows, seen)


def _block(path: Path, rows: pa.Table, seen: set[str]) -> Block:
    """Return rows of whole queries. Raises RecordError for a query that was there before, and for a
    document that a query has twice.
    """
    import numpy as np

    queries, query_names = _numbered(rows["query"])
    codes, names = _numbered(rows["doc_id"])
    starts = np.flatnonzero(np.append(True, queries[1:] != queries[:-1]))
    query_ids = [query_names[number] for number in queries[starts].tolist()]
    ends = np.append(starts[1:], len(queries))
    block = Block(query_ids, ends, names, codes, rows["score"].to_numpy())
    is_repeated = len(set(query_ids)) < len(query_ids) or not seen.isdisjoint(query_ids)
    if is_repeated or block.has_repeats:
        raise RecordError(f"{path}: holds a document of a query twice: {REPEAT}")
    seen.update(query_ids)
    return block


def _numbered(column: pa.ChunkedArray) -> tuple[NDArray[np.int32], list[str]]:
    """Return the numbers of a column's texts, and the texts. A table that was filtered keeps the
    texts of the rows that were left out: there are many, and nobody needs them.
    """
    import numpy as np
    import pyarrow as pa

    texts = column.unify_dictionaries().combine_chunks()
    numbers = texts.indices.to_numpy()
    is_used = np.bincount(numbers, minlength=len(texts.dictionary)) > 0
    numbers = (np.cumsum(is_used) - 1)[numbers].astype(np.int32)
    return numbers, texts.dictionary.filter(pa.array(is_used)).to_pylist()


class _Rows:
    """Rows of the table on their way to the file: names once, and numbers."""

    def __init__(self, trial: str) -> None:
        self._trial = trial
        self._clear()

    def __len__(self) -> int:
        return len(self._scores)

    def add(self, query_id: str, scores: QueryCandidates) -> None:
        self._queries.extend([len(self._query_ids)] * len(scores.doc_ids))
        self._query_ids.append(query_id)
        self._codes.extend(map(self._documents.__getitem__, scores.doc_ids))
        self._scores.extend(scores.scores)

    def take(self) -> pa.RecordBatch:
        """Return the rows, and forget them."""
        import pyarrow as pa

        trials = array("i", bytes(self._queries.itemsize * len(self)))
        columns = [
            _names(trials, [self._trial]),
            _names(self._queries, self._query_ids),
            _names(self._codes, list(self._documents)),
            pa.array(self._scores, pa.float64()),
        ]
        self._clear()
        return pa.record_batch(columns, schema=SCORES.schema)

    def _clear(self) -> None:
        self._query_ids: list[str] = []
        self._documents = numbers_of_names()
        self._queries, self._codes, self._scores = array("i"), array("i"), array("d")


def _names(codes: array[int], names: list[str]) -> pa.DictionaryArray:
    import numpy as np
    import pyarrow as pa

    numbers = np.frombuffer(codes, dtype=np.int32)
    return pa.DictionaryArray.from_arrays(numbers, pa.array(names, pa.string()))
