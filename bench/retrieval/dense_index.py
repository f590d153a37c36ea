"""Exact search over dense embeddings, and how they lie on disk.

Source: blocked matrix products in float32 pick what can be among the best; the scores of these are
then computed again in float64, each by itself, so that they depend neither on the other queries of
a call nor on the kind of search that picked them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from bench.contract.candidates import QueryCandidates
from bench.core.errors import DataError
from bench.retrieval.vectors import Extra, Store

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]
    Rows = NDArray[np.int64]

VECTORS = "vectors.npy"
BLOCK = 1 << 16
"""Rows of one matrix product."""
QUERIES = 64
"""Queries of one matrix product."""
IN_MEMORY = 2 << 30
"""Bytes up to which the vectors are held in memory in float32; larger ones are read from the disk
block by block.
"""


@dataclass(frozen=True)
class DenseBlock:
    """Vectors of some texts, in float16."""

    vectors: NDArray[np.float16]

    @classmethod
    def of(cls, vectors: Vectors) -> DenseBlock:
        """Raises DataError for what float16 cannot hold."""
        import numpy as np

        halves = vectors.astype(np.float16)
        if not np.isfinite(halves).all():
            raise DataError(
                "the encoder gave embeddings that are no numbers, or too large for float16: choose "
                "similarity: cosine, or dtype: float32"
            )
        return cls(halves)

    def save(self, folder: Path) -> None:
        import numpy as np

        np.save(folder / VECTORS, self.vectors)


def join(parts: Sequence[Path], rows: int, folder: Path) -> int:
    """Write the vectors of all parts into one array; return their number."""
    import numpy as np

    first = np.load(parts[0] / VECTORS, mmap_mode="r", allow_pickle=False)
    together = np.lib.format.open_memmap(
        folder / VECTORS, mode="w+", dtype=np.float16, shape=(rows, first.shape[1])
    )
    place = 0
    for part in parts:
        vectors = np.load(part / VECTORS, mmap_mode="r", allow_pickle=False)
        together[place : place + len(vectors)] = vectors
        place += len(vectors)
    together.flush()
    return rows


def unit(vectors: Vectors) -> Vectors:
    """Return vectors of length 1; those of length 0 as they are."""
    import numpy as np

    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.where(lengths == 0, 1, lengths)).astype(np.float32)


class Picker(Protocol):
    """Picks rows that may be among the best of each query."""

    @property
    def extra(self) -> Extra:
        """What it takes next to the vectors."""

    def pick(self, queries: Vectors, depth: int) -> Iterator[Rows]:
        """Yield, per query, rows among which the best `depth` are, as far as the search is
        exact.
        """


class Index:
    """The vectors of a store, and the documents that have them."""

    def __init__(self, store: Store, picker: Picker) -> None:
        import numpy as np

        self._vectors = store.array(VECTORS)
        self._doc_ids, self._picker = store.doc_ids, picker
        self.extra = picker.extra
        # the documents of row r are _documents[_first[r] : _first[r + 1]]
        self._documents = np.argsort(store.rows, kind="stable")
        counts = np.bincount(store.rows, minlength=len(self._vectors))
        self._first = np.concatenate(([0], np.cumsum(counts)))

    def search(self, queries: Vectors, depth: int) -> list[QueryCandidates]:
        """Return the best `depth` documents of each query: score descending, then doc_id
        descending.
        """
        rankings: list[QueryCandidates] = []
        for query, rows in zip(queries, self._picker.pick(queries, depth), strict=True):
            rankings.append(self._ranked(query, rows, depth))
        return rankings

    def _ranked(self, query: Vectors, rows: Rows, depth: int) -> QueryCandidates:
        import numpy as np

        vectors = self._vectors[rows].astype(np.float64)
        scores = np.einsum("ij,j->i", vectors, query.astype(np.float64))
        counts = self._first[rows + 1] - self._first[rows]
        # the place of a document among those of its row
        number = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        places = self._documents[np.repeat(self._first[rows], counts) + number]
        scores = np.repeat(scores, counts)
        order = np.lexsort((-places, -scores))[:depth]
        doc_ids = tuple(self._doc_ids[place] for place in places[order])
        return QueryCandidates(doc_ids, tuple(scores[order].tolist()))


class Exact:
    """Every vector is compared with every query, on the processor."""

    extra = Extra()

    def __init__(self, vectors: NDArray[np.float16]) -> None:
        import numpy as np

        self._vectors: Any = vectors
        if vectors.size * 4 <= IN_MEMORY:
            self._vectors = np.asarray(vectors, dtype=np.float32)
        self._longest = longest(vectors)

    def pick(self, queries: Vectors, depth: int) -> Iterator[Rows]:
        for start in range(0, len(queries), QUERIES):
            yield from self._of_block(queries[start : start + QUERIES], depth)

    def _of_block(self, queries: Vectors, depth: int) -> list[Rows]:
        import numpy as np

        error = rounding(self._vectors.shape[1], self._longest)
        picks = [_Pick(depth, error * float(np.linalg.norm(query))) for query in queries]
        for start in range(0, len(self._vectors), BLOCK):
            block = np.asarray(self._vectors[start : start + BLOCK], dtype=np.float32)
            for pick, scores in zip(picks, _products(queries, block), strict=True):
                pick.add(start, scores)
        return [pick.rows() for pick in picks]


def _products(queries: Vectors, block: Vectors) -> Vectors:
    """Return the product of every query and row, a row per query."""
    import numpy as np

    if len(queries) > 1:
        return queries @ block.T
    # reads the rows twice as fast as the product of a matrix and one vector does
    products: Vectors = np.einsum("ij,j->i", block, queries[0])[None]
    return products


class _Pick:
    """The rows of one query that may be among its best, over blocks. What scores below `_floor` is
    beaten by as many rows of earlier blocks as are wanted.
    """

    def __init__(self, depth: int, margin: float) -> None:
        self._depth, self._margin = depth, margin
        self._floor = float("-inf")
        self._rows: list[Rows] = []
        self._scores: list[Vectors] = []

    def add(self, start: int, scores: Vectors) -> None:
        import numpy as np

        rows = np.arange(len(scores))
        if self._rows:
            rows = np.flatnonzero(scores >= self._floor)
            scores = scores[rows]
        if len(scores) > self._depth:
            self._floor = max(self._floor, _floor(scores, self._depth, self._margin))
            places = np.flatnonzero(scores >= self._floor)
            rows, scores = rows[places], scores[places]
        self._rows.append(rows + start)
        self._scores.append(scores)

    def rows(self) -> Rows:
        import numpy as np

        rows, scores = np.concatenate(self._rows), np.concatenate(self._scores)
        if len(rows) <= self._depth:
            return rows
        return rows[scores >= _floor(scores, self._depth, self._margin)]


def _floor(scores: Vectors, depth: int, margin: float) -> float:
    """Return the lowest score of a row that may be among the `depth` best, of more than these."""
    import numpy as np

    lowest = np.partition(scores, len(scores) - depth)[len(scores) - depth]
    return float(lowest - 2 * margin)


def rounding(dimensions: int, length: float) -> float:
    """Return by how much a product in float32 of vectors of this length may miss, per unit of the
    other one's length. Source: Higham, "Accuracy and Stability of Numerical Algorithms", 3.1.
    """
    import numpy as np

    return dimensions * float(np.finfo(np.float32).eps) * length


def longest(vectors: NDArray[np.float16]) -> float:
    """Return the length of the longest vector."""
    import numpy as np

    length = 0.0
    for start in range(0, len(vectors), BLOCK):
        block = np.asarray(vectors[start : start + BLOCK], dtype=np.float32)
        length = max(length, float(np.linalg.norm(block, axis=1).max(initial=0.0)))
    return length
