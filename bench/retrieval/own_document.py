"""Candidates without a query's own document, where the dataset says that it is none of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from bench.contract.candidates import Candidates, QueryCandidates
from bench.core.note import Code, Notes
from bench.datasets.base import Dataset
from bench.retrieval.answer import retrieved
from bench.retrieval.base import BaseFirstStage


def candidates_of(
    stage: BaseFirstStage, dataset: Dataset, query_ids: Sequence[str], depth: int
) -> Candidates:
    """Return up to `depth` candidates of each query, its own document not among them where the
    dataset says so.
    """
    if not dataset.skip_own:
        return retrieved(stage, dataset, query_ids, depth)
    wide = retrieved(stage, dataset, query_ids, depth + 1)
    by_query = {
        query_id: entry.without({query_id}).first(depth)
        for query_id, entry in wide.by_query.items()
    }
    return replace(
        wide, by_query=by_query, depth=depth, source={**wide.source, "own_document": "left out"}
    )


def searched(stage: BaseFirstStage, dataset: Dataset, query_id: str, depth: int) -> QueryCandidates:
    """Return up to `depth` candidates of one query by a search, in the same way."""
    if not dataset.skip_own:
        return stage.search(dataset, query_id, depth)
    candidates = stage.search(dataset, query_id, depth + 1)
    return candidates.without({query_id}).first(depth)


def wanted_of(dataset: Dataset, depth: int) -> int:
    """Return how many of `depth` candidates are wanted in the end: whoever leaves out a query's own
    document searches for one more.
    """
    return depth - bool(dataset.skip_own)


def add_short_lists(
    notes: Notes, lists: Iterable[QueryCandidates], dataset: Dataset, depth: int, source: str
) -> None:
    """Note that the longest list of a search is shorter than wanted; nothing where all are
    empty.
    """
    longest = max((len(ranking.doc_ids) for ranking in lists), default=0)
    wanted = wanted_of(dataset, depth)
    if 0 < longest < wanted:
        notes.add(Code.SHORT_LISTS, longest, wanted, source=source, how="search")
