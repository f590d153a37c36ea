"""Rows of (query, document, score) into each query's ranked list, millions at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from bench.contract.candidates import Block, Compact, QueryCandidates
from bench.core.note import Code, Note, note

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class RepeatedDocument(ValueError):
    """A query lists a document twice, with different scores."""

    def __init__(self, query_id: str, doc_id: str) -> None:
        super().__init__(f"query '{query_id}' lists document '{doc_id}' twice")
        self.query_id = query_id
        self.doc_id = doc_id


class Rows(NamedTuple):
    """The columns of a run, in its order: sequences or pyarrow arrays of equal length. `scores` are
    finite; `ranks`, where there are any, are numbers, nan where a row has none. `has_scores` is
    false where the scores only number the ranks.
    """

    query_ids: Any
    doc_ids: Any
    scores: Any
    ranks: Any = None
    has_scores: bool = True


@dataclass(frozen=True)
class RunContent:
    """Each query's documents, score descending, then doc_id descending, as trec_eval orders them;
    queries as they first appear.

    `contradicted` holds the queries in which some document has a higher score and a lower place (by
    its rank) than another one; `repeated` counts the rows that were there before, alike.
    """

    by_query: Compact
    contradicted: frozenset[str] = frozenset()
    repeated: int = 0
    has_scores: bool = True

    def warnings(self, name: str, query_ids: Collection[str]) -> Iterator[Note]:
        """Yield what a reader should know about the run as a file, as far as these queries are
        concerned.
        """
        if not self.has_scores:
            yield note(Code.RANKS_ONLY, file=name)
        contradicted = len(self.contradicted.intersection(query_ids))
        if contradicted:
            yield note(Code.CONTRADICTED, contradicted, len(query_ids), file=name)
        if self.repeated:
            yield note(Code.REPEATED_LINES, self.repeated, file=name)


@dataclass(frozen=True)
class Part:
    """Some queries of a run as `RunContent` has them, on their way into it."""

    rankings: Sequence[Block]
    contradicted: frozenset[str]
    repeated: int
    has_scores: bool


def joined(parts: Iterable[Part]) -> RunContent:
    """Return parts of a run, no query of which is in two of them, as one run. One part is in memory
    at a time.
    """
    contradicted: set[str] = set()
    repeated = 0
    has_scores = True

    def blocks() -> Iterator[Block]:
        nonlocal repeated, has_scores
        for part in parts:
            contradicted.update(part.contradicted)
            repeated += part.repeated
            has_scores = part.has_scores
            yield from part.rankings

    by_query = Compact.of_blocks(blocks())
    return RunContent(by_query, frozenset(contradicted), repeated, has_scores)


def ordered(rows: Rows) -> RunContent:
    """Return each query's ranked list. Raises RepeatedDocument for a document that a query lists
    with two scores.
    """
    return joined([ordered_part(rows)])


def ordered_part(rows: Rows) -> Part:
    """Return the ranked lists of some rows. Raises RepeatedDocument as `ordered` does."""
    import numpy as np
    import pyarrow as pa

    queries = _encoded(rows.query_ids)
    docs = _encoded(rows.doc_ids)
    scores = np.asarray(rows.scores, dtype=np.float64)
    codes = queries.indices.to_numpy(zero_copy_only=False)
    query_ids = queries.dictionary.to_pylist()
    order = _order(codes, docs, scores)
    if order is not None:
        docs = docs.take(pa.array(order))
        scores = scores[order]
    contradicted: frozenset[str] = frozenset()
    if rows.ranks is not None and rows.has_scores:
        ranks = np.asarray(rows.ranks, dtype=np.float64)
        in_order = (codes, scores, ranks) if order is None else (codes[order], scores, ranks[order])
        contradicted = frozenset(query_ids[code] for code in _contradicted(*in_order))
    ends = np.cumsum(np.bincount(codes, minlength=len(query_ids)))
    numbers = docs.indices.to_numpy(zero_copy_only=False)
    block = Block(query_ids, ends, docs.dictionary.to_pylist(), numbers, scores)
    if not block.has_repeats:
        return Part([block], contradicted, 0, rows.has_scores)
    rankings = Compact(zip(query_ids, _without_repeats(block), strict=True))
    repeated = len(scores) - rankings.documents
    return Part(list(rankings.blocks()), contradicted, repeated, rows.has_scores)


def _encoded(names: Any) -> Any:
    """Return a column of ids as numbers and a dictionary, in which they are as they first
    appear.
    """
    import pyarrow as pa

    if isinstance(names, pa.DictionaryArray):
        return names
    return pa.array(names, pa.string()).dictionary_encode()


def _without_repeats(block: Block) -> Iterator[QueryCandidates]:
    """Yield each query's ranking without the rows that were there before, which are next to each
    other. Raises RepeatedDocument for others.
    """
    ends = block.ends.tolist()
    for query_id, start, end in zip(block.query_ids, [0, *ends], ends, strict=False):
        doc_ids = [block.names[number] for number in block.codes[start:end].tolist()]
        pairs = list(dict.fromkeys(zip(doc_ids, block.scores[start:end].tolist(), strict=True)))
        counts = Counter(doc_id for doc_id, _ in pairs)
        if len(counts) < len(pairs):
            raise RepeatedDocument(query_id, counts.most_common(1)[0][0])
        yield QueryCandidates(
            tuple(doc_id for doc_id, _ in pairs), tuple(score for _, score in pairs)
        )


def ranked(
    query_ids: Any, doc_ids: Any, scores: Sequence[float] | NDArray[np.float64]
) -> Mapping[str, QueryCandidates]:
    """Return each query's ranked list, as `ordered` does, from columns without ranks."""
    return ordered(Rows(query_ids, doc_ids, scores)).by_query


def _contradicted(
    codes: NDArray[np.int32], scores: NDArray[np.float64], ranks: NDArray[np.float64]
) -> list[int]:
    """Return the queries, by number, in which a higher score has a lower place. The columns are in
    order of query and score.

    Documents of equal score form a step; a step whose last rank is below the first rank of the next
    one contradicts it.
    """
    import numpy as np

    if not len(codes):
        return []
    new_query = codes[1:] != codes[:-1]
    starts = np.flatnonzero(np.append(True, new_query | (scores[1:] != scores[:-1])))
    last = np.maximum.reduceat(ranks, starts)
    first = np.minimum.reduceat(ranks, starts)
    query = codes[starts]
    wrong = (query[1:] == query[:-1]) & (last[:-1] > first[1:])
    numbers: list[int] = np.unique(query[1:][wrong]).tolist()
    return numbers


def _order(
    codes: NDArray[np.int32], docs: Any, scores: NDArray[np.float64]
) -> NDArray[np.intp] | None:
    """Return row numbers in the order wanted, None for rows that are in it already, as those of
    most files are.

    Document ids are compared only where scores tie: sorting strings is what costs.
    """
    import numpy as np

    same_query = codes[1:] == codes[:-1]
    order = None
    if (codes[1:] < codes[:-1]).any() or (same_query & (scores[1:] > scores[:-1])).any():
        order = np.lexsort((-scores, codes))
        codes = codes[order]
        scores = scores[order]
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
    """Return the place of each of these rows' ids in alphabetical order, by UTF-8 bytes, as strcmp
    has it. Shape: (rows,).
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    encoded = docs.take(pa.array(rows))
    place = np.empty(len(encoded.dictionary), dtype=np.int64)
    place[pc.sort_indices(encoded.dictionary).to_numpy()] = np.arange(len(place))
    places: NDArray[np.int64] = place[encoded.indices.to_numpy(zero_copy_only=False)]
    return places
