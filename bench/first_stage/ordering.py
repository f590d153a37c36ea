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
    if order is not None:
        docs, values = docs.take(pa.array(order)), values[order]
    in_order, values = docs.to_numpy(zero_copy_only=False).tolist(), values.tolist()
    ends = np.cumsum(np.bincount(codes, minlength=len(queries.dictionary))).tolist()
    found: dict[str, QueryCandidates] = {}
    for query_id, start, end in zip(queries.dictionary.to_pylist(), [0, *ends], ends, strict=False):
        names = tuple(in_order[start:end])
        if len(set(names)) != len(names):
            raise RepeatedDocument(query_id, Counter(names).most_common(1)[0][0])
        found[query_id] = QueryCandidates(names, tuple(values[start:end]))
    return found


def _order(codes: NDArray[np.int32], docs: Any, scores: NDArray[np.float64]) -> NDArray[np.intp] | None:
    """Row numbers in the order wanted, None for rows that stand in it already, as those of most files do.

    Document ids are compared only where scores tie: sorting strings is what costs.
    """
    import numpy as np

    same_query = codes[1:] == codes[:-1]
    order = None
    if (codes[1:] < codes[:-1]).any() or (same_query & (scores[1:] > scores[:-1])).any():
        order = np.lexsort((-scores, codes))
        codes, scores = codes[order], scores[order]
        same_query = codes[1:] == codes[:-1]
    tied = same_query & (scores[1:] == scores[:-1])
    if not tied.any():
        return order
    order = np.arange(len(codes)) if order is None else order
    places = np.flatnonzero(np.append(tied, False) | np.append(False, tied))
    group = np.cumsum(~np.append(False, tied))[places]
    rows = order[places]
    order[places] = rows[np.lexsort((-_alphabetical(docs, rows), group))]
    return order


def _alphabetical(docs: Any, rows: NDArray[np.intp]) -> NDArray[np.int64]:
    """The place of each of these rows' ids in alphabetical order, by UTF-8 bytes, as strcmp has it. Shape: (rows,)."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    encoded = docs.take(pa.array(rows)).dictionary_encode()
    place = np.empty(len(encoded.dictionary), dtype=np.int64)
    place[pc.sort_indices(encoded.dictionary).to_numpy()] = np.arange(len(place))
    places: NDArray[np.int64] = place[encoded.indices.to_numpy(zero_copy_only=False)]
    return places
