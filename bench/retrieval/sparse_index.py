"""Search over sparse embeddings, and how they lie on disk: a matrix of documents and terms in
parts, joined into postings, a matrix of terms and documents.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.contract.candidates import QueryCandidates
from bench.core.errors import DataError
from bench.models.text_encoder import Encoded
from bench.retrieval.best import best_places
from bench.retrieval.vectors import Extra, Store

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ARRAYS = ("data", "indices", "indptr")
"""The arrays of a compressed matrix, a file each."""
SHAPE = "shape.npy"


@dataclass(frozen=True)
class SparseBlock:
    """Weights of some texts: a row per text, a column per term of the vocabulary."""

    matrix: Any

    @classmethod
    def of(cls, encoded: Encoded) -> SparseBlock:
        """Raises DataError for weights that are no numbers."""
        import numpy as np
        from scipy import sparse

        tensor = encoded.embeddings.coalesce()
        rows, columns = tensor.indices().cpu().numpy()
        weights = tensor.values().cpu().float().numpy()
        if not np.isfinite(weights).all():
            raise DataError("the encoder gave weights of terms that are no numbers")
        matrix = sparse.csr_matrix((weights, (rows, columns)), shape=tuple(tensor.shape))
        matrix.eliminate_zeros()
        return cls(matrix[encoded.rows])

    def save(self, folder: Path) -> None:
        _save(self.matrix, folder)


def join(parts: Sequence[Path], rows: int, folder: Path) -> int:
    """Write the matrices of all parts as postings: a row per term, sorted by document. Return their
    number.
    """
    from scipy import sparse

    postings = sparse.vstack([_load(part) for part in parts], format="csc").T.tocsr()
    postings.sort_indices()
    _save(postings, folder)
    return int(postings.nnz)


class SparseIndex:
    """The postings of a store, memory-mapped, and the documents that have them."""

    extra = Extra()

    def __init__(self, store: Store) -> None:
        self._postings = _load(store.folder)
        self._doc_ids, self._rows = store.doc_ids, store.rows

    def search(self, queries: Any, depth: int) -> list[QueryCandidates]:
        """Return the best `depth` documents of each query: score descending, then doc_id
        descending. Sums are in float64, in the order of the terms.
        """
        rankings: list[QueryCandidates] = []
        for number in range(queries.shape[0]):
            query = queries[[number]].tocsr()
            query.sort_indices()
            rankings.append(self._ranked(query.indices, query.data, depth))
        return rankings

    def _ranked(
        self, terms: NDArray[np.int32], weights: NDArray[np.float32], depth: int
    ) -> QueryCandidates:
        import numpy as np

        scores = np.zeros(self._postings.shape[1], dtype=np.float64)
        indptr = self._postings.indptr
        for term, weight in zip(terms, weights, strict=True):
            place = slice(indptr[term], indptr[term + 1])
            # a row has each document once
            scores[self._postings.indices[place]] += np.float64(weight) * self._postings.data[place]
        of_documents = scores[self._rows]
        best = best_places(of_documents, depth)
        doc_ids = tuple(self._doc_ids[place] for place in best)
        return QueryCandidates(doc_ids, tuple(of_documents[best].tolist()))


def _save(matrix: Any, folder: Path) -> None:
    import numpy as np

    for name in ARRAYS:
        np.save(folder / f"{name}.npy", getattr(matrix, name))
    np.save(folder / SHAPE, np.array(matrix.shape, dtype=np.int64))


def _load(folder: Path) -> Any:
    """Return the matrix of a folder, memory-mapped."""
    import numpy as np
    from scipy import sparse

    arrays = [np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in ARRAYS]
    shape = tuple(np.load(folder / SHAPE, allow_pickle=False).tolist())
    return sparse.csr_matrix(tuple(arrays), shape=shape)
