"""Rows of (query, document, score) into each query's ranked list, millions at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bench.first_stage.base import QueryCandidates

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class RepeatedDocument(ValueError):
    """A query lists a document twice."""

    def __init__(self, query_id: str, doc_id: str) -> None:
        super().__init__(f"query '{query_id}' lists document '{doc_id}' twice")
        self.query_id = query_id
        self.doc_id = doc_id


def ranked(query_ids: Any, doc_ids: Any, scores: Sequence[float] | NDArray[np.float64]) -> dict[str, QueryCandidates]:
    """Each query's documents, score descending, then doc_id descending, as trec_eval orders them; queries as they first appear.

    The columns are sequences or pyarrow arrays of equal length, scores finite. Raises RepeatedDocument.
    """
    import numpy as np
    import pyarrow as pa

    queries = pa.array(query_ids, pa.string()).dictionary_encode()
    docs = pa.array(doc_ids, pa.string())
    values = np.asarray(scores, dtype=np.float64)
    codes = queries.indices.to_numpy(zero_copy_only=False)
    order = _order(codes, docs, values)
    in_order = docs.take(pa.array(order)).to_numpy(zero_copy_only=False).tolist()
    values = values[order].tolist()
    ends = np.cumsum(np.bincount(codes, minlength=len(queries.dictionary))).tolist()
    found: dict[str, QueryCandidates] = {}
    for query_id, start, end in zip(queries.dictionary.to_pylist(), [0, *ends], ends, strict=False):
        names = tuple(in_order[start:end])
        if len(set(names)) != len(names):
            raise RepeatedDocument(query_id, Counter(names).most_common(1)[0][0])
        found[query_id] = QueryCandidates(names, tuple(values[start:end]))
    return found


def _order(codes: NDArray[np.int32], docs: Any, scores: NDArray[np.float64]) -> NDArray[np.intp]:
    """Row numbers in the order wanted. Document ids are compared only where scores tie: sorting strings is what costs."""
    import numpy as np
    import pyarrow.compute as pc

    order = np.lexsort((-scores, codes))
    tied = (codes[order][1:] == codes[order][:-1]) & (scores[order][1:] == scores[order][:-1])
    if not tied.any():
        return order
    encoded = docs.dictionary_encode()
    place = np.empty(len(encoded.dictionary), dtype=np.int64)
    place[pc.sort_indices(encoded.dictionary).to_numpy()] = np.arange(len(place))  # by UTF-8 bytes, as strcmp does
    return np.lexsort((-place[encoded.indices.to_numpy(zero_copy_only=False)], -scores, codes))
