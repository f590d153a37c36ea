"""The common measures over thousands of queries at once, as array arithmetic; ir_measures is their
oracle and computes all others.

A query's ranking enters as the ranks and grades of its judged documents: everything else in it
counts as not relevant, so that a thousand candidates of which three are judged cost three numbers.
Definitions are trec_eval's: linear gains and a log2 discount for nDCG (Jarvelin & Kekalainen, TOIS
2002), an ideal over all judgments of the query, sums taken from the top down.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from bench.contract.candidates import Compact

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from bench.contract.candidates import QueryCandidates
    from bench.datasets.base import Qrels
    from bench.ranking.order import Ranking

    Values = NDArray[np.float64]
    Whole = NDArray[np.int64]


@dataclass(frozen=True)
class Judged:
    """The judged documents of every query's ranking, end to end in rank order: shapes (judged
    documents,).

    `query` is the number of the query, `rank` counts from 1. `lengths` are documents ranked per
    query, shape (queries,). `graded` holds all judgments, ranked or not, as (number of the query,
    grade), each query's grades falling.
    """

    queries: int
    query: Whole
    rank: Whole
    grade: Whole
    lengths: Whole
    graded: tuple[Whole, Whole]

    def total(self, keep: NDArray[np.bool_], weights: Values | None = None) -> Values:
        """Per query, how many of the kept documents there are, or the sum of their weights. Shape:
        (queries,).
        """
        import numpy as np

        totals = np.bincount(
            self.query[keep], None if weights is None else weights[keep], minlength=self.queries
        )
        return totals.astype(np.float64)

    def relevant(self, threshold: int) -> Values:
        """Per query, how many relevant documents are known. Shape: (queries,)."""
        import numpy as np

        owner, grade = self.graded
        return np.bincount(owner[grade >= threshold], minlength=self.queries).astype(np.float64)

    @cached_property
    def graded_rank(self) -> Whole:
        """The rank that each judgment has in its query's ideal order. Shape: (judgments,)."""
        import numpy as np

        owner, _ = self.graded
        starts = np.searchsorted(owner, np.arange(self.queries))
        return np.arange(len(owner)) - starts[owner] + 1


def supports(measure: Any) -> bool:
    """Whether `compute` knows the ir_measures measure with its parameters."""
    return (
        measure.NAME in _MEASURES
        and set(measure.params) <= {"cutoff", "rel"}
        and measure.params.get("rel", 1) >= 1
    )


def compute(measure: Any, judged: Judged) -> Values:
    """One value per query, shape (queries,), for a measure that `supports` names."""
    cutoff = measure.params.get("cutoff")
    return _MEASURES[measure.NAME](judged, cutoff or _NO_CUTOFF, measure.params.get("rel", 1))


def collect(rankings: Mapping[str, Ranking | QueryCandidates], qrels: Qrels) -> Judged:
    """What the measures need of the rankings, in the order of `qrels`; a query without a ranking
    has no judged documents.
    """
    import numpy as np

    if isinstance(rankings, Compact):
        return _collected(rankings, qrels)
    ranks: list[int] = []
    grades: list[int] = []
    counts: list[int] = []
    lengths: list[int] = []
    for query_id, judgments in qrels.items():
        ranking = rankings.get(query_id)
        doc_ids = ranking.doc_ids if ranking else ()
        places = [rank for rank, doc_id in enumerate(doc_ids, 1) if doc_id in judgments]
        ranks += places
        grades += [judgments[doc_ids[rank - 1]] for rank in places]
        counts.append(len(places))
        lengths.append(len(doc_ids))
    query = np.repeat(np.arange(len(counts)), counts)
    return Judged(
        len(counts),
        query,
        _whole(ranks),
        _whole(grades),
        _whole(lengths),
        graded(qrels.values()),
    )


def _collected(rankings: Compact, qrels: Qrels) -> Judged:
    """Return what `collect` does of rankings that are kept as numbers, as arithmetic on them."""
    import numpy as np

    pairs, grades = _judged_pairs(rankings, qrels)
    numbers = {query_id: number for number, query_id in enumerate(qrels)}
    lengths = np.zeros(len(numbers), dtype=np.int64)
    nothing = _whole([])
    parts = [(nothing, nothing, nothing)]
    first = 0
    for block in rankings.blocks():
        sizes = np.diff(block.ends, prepend=0)
        own = _whole([numbers.get(query_id, -1) for query_id in block.query_ids])
        lengths[own[own >= 0]] = sizes[own >= 0]
        places = np.repeat(np.arange(first, first + len(sizes)), sizes)
        at = _places_in(places * len(rankings.names) + block.codes, pairs)
        rows = np.flatnonzero(at >= 0)
        within = places[rows] - first
        ranks = rows - (block.ends - sizes)[within] + 1
        parts.append((own[within], ranks, grades[at[rows]]))
        first += len(sizes)
    columns = zip(*parts, strict=True)
    query, rank, grade = (np.concatenate(column) for column in columns)
    order = np.argsort(query, kind="stable")
    return Judged(
        len(numbers), query[order], rank[order], grade[order], lengths, graded(qrels.values())
    )


def _judged_pairs(rankings: Compact, qrels: Qrels) -> tuple[Whole, Whole]:
    """Return the judged pairs of query and document that can be ranked, as numbers: the place of
    the query in the rankings times the number of documents, and the document's; and their grades.
    """
    wanted: set[str] = set()
    for judgments in qrels.values():
        wanted.update(judgments)
    codes = {name: code for code, name in enumerate(rankings.names) if name in wanted}
    pairs: list[int] = []
    grades: list[int] = []
    for place, query_id in enumerate(rankings):
        for doc_id, grade in qrels.get(query_id, {}).items():
            if doc_id in codes:
                pairs.append(place * len(rankings.names) + codes[doc_id])
                grades.append(grade)
    return _whole(pairs), _whole(grades)


def _places_in(values: Whole, known: Whole) -> Whole:
    """Return the place of each value among the known ones, -1 where it is none of them."""
    import pyarrow as pa
    import pyarrow.compute as pc

    places = pc.index_in(pa.array(values), value_set=pa.array(known))
    numbers: Whole = places.fill_null(-1).to_numpy(zero_copy_only=False).astype("int64")
    return numbers


def graded(qrels: Iterable[Mapping[str, int]]) -> tuple[Whole, Whole]:
    """Return all judgments of queries as `Judged` has them."""
    owners: list[int] = []
    grades: list[int] = []
    for number, judgments in enumerate(qrels):
        owners += [number] * len(judgments)
        grades += sorted(judgments.values(), reverse=True)
    return _whole(owners), _whole(grades)


def _whole(values: list[int]) -> Whole:
    import numpy as np

    return np.array(values, dtype=np.int64)


_NO_CUTOFF = 1 << 60


def _ndcg(judged: Judged, cutoff: int, threshold: int) -> Values:
    import numpy as np

    owner, grade = judged.graded
    best = (judged.graded_rank <= cutoff) & (grade > 0)
    ideal = np.bincount(
        owner[best], _gain(grade, judged.graded_rank)[best], minlength=judged.queries
    )
    got = judged.total(
        (judged.rank <= cutoff) & (judged.grade > 0), _gain(judged.grade, judged.rank)
    )
    return np.divide(got, ideal, out=np.zeros_like(got), where=ideal > 0)


def _gain(grade: Whole, rank: Whole) -> Values:
    import numpy as np

    gains: Values = grade / np.log2(rank + 1.0)
    return gains


def _first(judged: Judged, cutoff: int, threshold: int) -> Values:
    """Per query, the rank of the first relevant document within the cutoff, infinite where there is
    none. Shape: (queries,).
    """
    import numpy as np

    hit = (judged.rank <= cutoff) & (judged.grade >= threshold)
    first = np.full(judged.queries, np.inf)
    np.minimum.at(first, judged.query[hit], judged.rank[hit].astype(np.float64))
    return first


def _reciprocal_rank(judged: Judged, cutoff: int, threshold: int) -> Values:
    return 1.0 / _first(judged, cutoff, threshold)


def _success(judged: Judged, cutoff: int, threshold: int) -> Values:
    import numpy as np

    return np.isfinite(_first(judged, cutoff, threshold)).astype(np.float64)


def _precision(judged: Judged, cutoff: int, threshold: int) -> Values:
    return judged.total((judged.rank <= cutoff) & (judged.grade >= threshold)) / cutoff


def _recall(judged: Judged, cutoff: int, threshold: int) -> Values:
    return _share(
        judged.total((judged.rank <= cutoff) & (judged.grade >= threshold)),
        judged.relevant(threshold),
    )


def _average_precision(judged: Judged, cutoff: int, threshold: int) -> Values:
    import numpy as np

    relevant = judged.grade >= threshold
    seen = np.cumsum(relevant)
    starts = np.searchsorted(judged.query, np.arange(judged.queries))
    before = np.concatenate([[0], seen])[starts][judged.query]
    return _share(
        judged.total(relevant & (judged.rank <= cutoff), (seen - before) / judged.rank),
        judged.relevant(threshold),
    )


def _judged(judged: Judged, cutoff: int, threshold: int) -> Values:
    import numpy as np

    lengths = np.minimum(judged.lengths, cutoff).astype(np.float64)
    return _share(judged.total(judged.rank <= cutoff), lengths)


def _share(part: Values, total: Values) -> Values:
    import numpy as np

    return np.divide(part, total, out=np.zeros_like(part), where=total > 0)


_MEASURES: Mapping[str, Callable[[Judged, int, int], Values]] = {
    "nDCG": _ndcg,
    "RR": _reciprocal_rank,
    "AP": _average_precision,
    "P": _precision,
    "R": _recall,
    "Success": _success,
    "Judged": _judged,
}
