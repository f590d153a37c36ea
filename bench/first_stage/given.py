"""Candidates that someone else ranked: cut at the depth, checked against the collection, oddities counted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bench.datasets.base import Dataset
from bench.errors import DataError
from bench.first_stage.base import Candidates, QueryCandidates
from bench.measure.ranking import count_ties

BATCH = 10_000
"""Documents fetched at once when checking that they exist."""


def candidates_from(
    rankings: Mapping[str, QueryCandidates], dataset: Dataset, query_ids: Sequence[str], depth: int, source: Mapping[str, Any], what: str
) -> Candidates:
    """The first `depth` of each query's ranking. `what` names the rankings in messages.

    Raises DataError when they know none of the dataset's queries or list documents that are not in the collection.
    """
    if not any(query_id in dataset.queries for query_id in rankings):
        theirs, ours = next(iter(rankings), None), next(iter(dataset.queries), None)
        raise DataError(f"{what} has none of {dataset.id}'s queries (its first is {theirs!r}, the dataset's {ours!r})")
    none = QueryCandidates((), ())
    whole = {query_id: rankings.get(query_id, none) for query_id in query_ids}
    found = {query_id: QueryCandidates(given.doc_ids[:depth], given.scores[:depth]) for query_id, given in whole.items()}
    _check_documents(found.values(), dataset, what)
    counts = {
        f"queries absent from {what}, which get no candidates": sum(query_id not in rankings for query_id in query_ids),
        f"documents in {what} that share their score with a neighbour, ordered by doc_id (descending)": sum(
            count_ties(given.scores) for given in found.values()
        ),
        f"queries of {what} cut at depth {depth} between documents of equal score": sum(
            len(given.scores) > depth and given.scores[depth - 1] == given.scores[depth] for given in whole.values()
        ),
    }
    return Candidates(found, depth, source, tuple(f"{text}: {count}" for text, count in counts.items() if count))


def _check_documents(found: Iterable[QueryCandidates], dataset: Dataset, what: str) -> None:
    if not dataset.has_texts:
        return
    wanted = list(dict.fromkeys(doc_id for given in found for doc_id in given.doc_ids))
    missing = [doc_id for start in range(0, len(wanted), BATCH) for doc_id in _missing(wanted[start : start + BATCH], dataset)]
    if missing:
        count = f"{len(missing)} of {len(wanted)}, the first is '{missing[0]}'"
        raise DataError(f"{what} lists documents that {dataset.id} does not have: {count}")


def _missing(doc_ids: Sequence[str], dataset: Dataset) -> list[str]:
    """Those of the documents that are not there. The Documents interface tells only of the first, so a bad batch is halved."""
    try:
        dataset.documents.get(doc_ids)
    except DataError:
        if len(doc_ids) == 1:
            return list(doc_ids)
        middle = len(doc_ids) // 2
        return _missing(doc_ids[:middle], dataset) + _missing(doc_ids[middle:], dataset)
    return []
