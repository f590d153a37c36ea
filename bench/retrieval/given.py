"""Candidates that someone else ranked: cut at the depth, checked against the collection, oddities
counted.
"""

from __future__ import annotations

from collections.abc import Sequence, Set

from bench.contract.candidates import Block, Candidates, Compact, QueryCandidates, Source
from bench.core.errors import DataError
from bench.core.note import Code, Notes
from bench.datasets.base import Dataset
from bench.datasets.checks import documents_there
from bench.ranking.trec_order import RunContent
from bench.retrieval.own_document import wanted_of

BATCH = 10_000
"""Documents fetched at once when checking that they exist."""
MISMATCH = 0.5
"""From this share of unknown documents on, a run and a collection do not belong together."""


def candidates_from(
    run: RunContent,
    dataset: Dataset,
    query_ids: Sequence[str],
    depth: int,
    source: Source,
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
        theirs = next(iter(run.by_query))
        ours = next(iter(dataset.queries), None)
        raise DataError(
            f"{what} has none of {dataset.id}'s queries (its first is {theirs!r}, the dataset's "
            f"{ours!r})"
        )
    nothing = QueryCandidates((), ())
    lengths = dict.fromkeys(query_ids, 0)
    lengths |= {name: run.by_query.length(name) for name in query_ids if name in run.by_query}
    cut = Compact(
        (query_id, run.by_query.get(query_id, nothing).first(depth)) for query_id in query_ids
    )
    missing = _missing_documents(cut.names, dataset, what)
    by_query = cut
    if missing:
        by_query = Compact(
            (query_id, ranking.without(missing)) for query_id, ranking in cut.items()
        )
    longest = max(lengths.values())
    notes = Notes()
    absent = sum(query_id not in run.by_query for query_id in query_ids)
    notes.add(Code.ABSENT_QUERIES, absent, file=what)
    notes.add(Code.FOREIGN_DOCUMENTS, len(missing), file=what, dataset=dataset.id)
    emptied = sum(not by_query.length(query_id) for query_id in query_ids if lengths[query_id])
    notes.add(Code.FOREIGN_LISTS, emptied, file=what, dataset=dataset.id)
    ties = sum(map(_ties, cut.blocks()))
    notes.add(Code.TIED_CANDIDATES, ties, file=what)
    cut_in_ties = sum(
        _cut_in_a_tie(run.by_query[query_id], depth)
        for query_id in query_ids
        if lengths[query_id] > depth
    )
    notes.add(Code.CUT_IN_TIES, cut_in_ties, file=what, depth=depth)
    wanted = wanted_of(dataset, depth)
    if longest < wanted:
        notes.add(Code.SHORT_LISTS, longest, wanted, source=what)
    warnings = (*notes.all(), *run.warnings(what, query_ids))
    return Candidates(by_query, depth, source, warnings)


def _ties(rankings: Block) -> int:
    """Return how many documents have the score of a neighbour in their query's ranking."""
    import numpy as np

    is_equal = rankings.scores[1:] == rankings.scores[:-1]
    is_equal[rankings.ends[(rankings.ends > 0) & (rankings.ends < len(rankings.scores))] - 1] = (
        False
    )
    return int((np.append(is_equal, False) | np.append(False, is_equal)).sum())


def _cut_in_a_tie(ranking: QueryCandidates, depth: int) -> bool:
    return ranking.scores[depth - 1] == ranking.scores[depth]


def _missing_documents(wanted: Sequence[str], dataset: Dataset, what: str) -> Set[str]:
    """Return which of these documents the collection lacks, none where it has no texts at all.
    Raises DataError where these are half or more.
    """
    # a check that has read the first documents only cannot tell that one is missing
    if not dataset.has_texts or dataset.documents_read is not None:
        return frozenset()
    missing: list[str] = []
    for start in range(0, len(wanted), BATCH):
        missing += _missing(wanted[start : start + BATCH], dataset)
    if missing and len(missing) >= MISMATCH * len(wanted):
        count = f"{len(missing)} of {len(wanted)}, the first is '{missing[0]}'"
        raise DataError(
            f"{what} lists documents that {dataset.id} does not have: {count}"
            f"{documents_there(dataset, missing)}"
        )
    return set(missing)


def _missing(doc_ids: Sequence[str], dataset: Dataset) -> list[str]:
    """Return those of the documents that are not there. The Documents interface names only the
    first, so a bad batch is halved.
    """
    try:
        dataset.documents.get(doc_ids)
    except DataError:
        if len(doc_ids) == 1:
            return list(doc_ids)
        middle = len(doc_ids) // 2
        return _missing(doc_ids[:middle], dataset) + _missing(doc_ids[middle:], dataset)
    return []
