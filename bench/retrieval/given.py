"""Candidates that someone else ranked: cut at the depth, checked against the collection, oddities
counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Any

from bench.contract.candidates import Candidates, Compact, QueryCandidates
from bench.core.counting import counted
from bench.core.errors import DataError
from bench.datasets.base import Dataset
from bench.datasets.memory import SampledDocuments
from bench.ranking.order import count_ties
from bench.ranking.trec_order import RunContent

BATCH = 10_000
"""Documents fetched at once when checking that they exist."""
MISMATCH = 0.5
"""From this share of unknown documents on, a run and a collection do not belong together."""


def candidates_from(
    run: RunContent,
    dataset: Dataset,
    query_ids: Sequence[str],
    depth: int,
    source: Mapping[str, Any],
    what: str,
) -> Candidates:
    """Return the first `depth` of each query's ranking, without documents that the collection
    lacks. `what` names the run in messages.

    Raises DataError when it knows none of the dataset's queries, or when the collection lacks half
    of its documents or more.
    """
    if not run.by_query:
        raise DataError(f"{what} holds no rankings (lines that begin with '#' are comments)")
    if not any(query_id in dataset.queries for query_id in run.by_query):
        theirs, ours = next(iter(run.by_query)), next(iter(dataset.queries), None)
        raise DataError(
            f"{what} has none of {dataset.id}'s queries (its first is {theirs!r}, the dataset's "
            f"{ours!r})"
        )
    none = QueryCandidates((), ())
    whole = {query_id: len(run.by_query.get(query_id, none).doc_ids) for query_id in query_ids}
    cut = Compact(
        (query_id, run.by_query.get(query_id, none).first(depth)) for query_id in query_ids
    )
    missing = _missing_documents(cut.values(), dataset, what)
    by_query = (
        Compact((query_id, ranking.without(missing)) for query_id, ranking in cut.items())
        if missing
        else cut
    )
    longest = max(whole.values())
    counts = {
        f"queries absent from {what}, which get no candidates": sum(
            query_id not in run.by_query for query_id in query_ids
        ),
        f"documents of {what} that {dataset.id} does not have, left out": len(missing),
        f"queries of {what} of whose documents {dataset.id} has none, which get no candidates": sum(
            not by_query[query_id].doc_ids for query_id in query_ids if whole[query_id]
        ),
        f"documents in {what} that share their score with a neighbour, ordered by doc_id "
        "(descending)": sum(count_ties(ranking.scores) for ranking in cut.values()),
        f"queries of {what} cut at depth {depth} between documents of equal score": sum(
            _cut_in_a_tie(run.by_query[query_id], depth)
            for query_id in query_ids
            if whole[query_id] > depth
        ),
    }
    warnings = [f"{text}: {count}" for text, count in counts.items() if count]
    # whoever leaves out a query's own document asks for one more
    asked = depth - bool(dataset.skip_own)
    if longest < asked:
        warnings.append(
            f"{what} lists at most {counted(longest, 'document')} per query, and the depth is "
            f"{asked}"
        )
    return Candidates(by_query, depth, source, (*warnings, *run.warnings(what, query_ids)))


def _cut_in_a_tie(ranking: QueryCandidates, depth: int) -> bool:
    return ranking.scores[depth - 1] == ranking.scores[depth]


def _missing_documents(
    rankings: Iterable[QueryCandidates], dataset: Dataset, what: str
) -> Set[str]:
    """Return the documents that the collection lacks, none where it has no texts at all. Raises
    DataError where these are half or more.
    """
    # a check that has read the first documents only cannot tell that one is missing
    if not dataset.has_texts or isinstance(dataset.documents, SampledDocuments):
        return frozenset()
    wanted = list(dict.fromkeys(doc_id for ranking in rankings for doc_id in ranking.doc_ids))
    missing = [
        doc_id
        for start in range(0, len(wanted), BATCH)
        for doc_id in _missing(wanted[start : start + BATCH], dataset)
    ]
    if missing and len(missing) >= MISMATCH * len(wanted):
        count = f"{len(missing)} of {len(wanted)}, the first is '{missing[0]}'"
        raise DataError(f"{what} lists documents that {dataset.id} does not have: {count}")
    return set(missing)


def _missing(doc_ids: Sequence[str], dataset: Dataset) -> list[str]:
    """Those of the documents that are not there. The Documents interface tells only of the first,
    so a bad batch is halved.
    """
    try:
        dataset.documents.get(doc_ids)
    except DataError:
        if len(doc_ids) == 1:
            return list(doc_ids)
        middle = len(doc_ids) // 2
        return _missing(doc_ids[:middle], dataset) + _missing(doc_ids[middle:], dataset)
    return []
