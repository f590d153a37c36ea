"""What a first stage of an outsider retrieves, held to what every later stage builds on."""

from __future__ import annotations

from collections.abc import Sequence

from bench.contract.candidates import Candidates, QueryCandidates
from bench.core.errors import DataError, RerankerError
from bench.core.outsiders import kind_of
from bench.core.plugins import name_of
from bench.datasets.base import Dataset
from bench.retrieval.base import BaseFirstStage


def retrieved(
    stage: BaseFirstStage, dataset: Dataset, query_ids: Sequence[str], depth: int
) -> Candidates:
    """Return the candidates of a first stage. Raises RerankerError naming an outsider's class where
    they are no candidates of these queries, or of another collection.
    """
    candidates: object = stage.retrieve(dataset, query_ids, depth)
    name = f"retrieve() of {name_of(stage.origin)}"
    if not isinstance(candidates, Candidates):
        raise RerankerError(f"{name} returned {kind_of(candidates)}; it returns Candidates")
    if not stage.is_outside:
        return candidates
    known: set[str] = set()
    for query_id in query_ids:
        if query_id not in candidates.by_query:
            raise RerankerError(
                f"{name} returned no entry for query '{query_id}'; where nothing is found, the "
                "entry is empty"
            )
        ranking = candidates.by_query[query_id]
        problem = _problem(ranking, depth) or _absent(ranking, dataset, known)
        if problem:
            raise RerankerError(f"{name}: query '{query_id}' {problem}")
    return candidates


def _problem(ranking: QueryCandidates, depth: int) -> str:
    """Return what is wrong with a ranking by itself; empty where nothing is. Scores that go against
    the order give way to it, with a note.
    """
    count = len(ranking.doc_ids)
    if len(ranking.scores) != count:
        return f"has {count} documents and {len(ranking.scores)} scores"
    if count > depth:
        return f"has {count} documents, and at most {depth} were asked for"
    if len(set(ranking.doc_ids)) < count:
        return "has a document twice"
    return ""


def _absent(ranking: QueryCandidates, dataset: Dataset, known: set[str]) -> str:
    """Return which document the collection lacks; empty where it has all, or nobody knows. `known`
    takes those that it has.
    """
    if not dataset.has_texts:
        return ""
    new = [doc_id for doc_id in ranking.doc_ids if doc_id not in known]
    try:
        dataset.documents.get(new)
    except DataError as error:
        return f"has a document of another collection: {error}"
    known.update(new)
    return ""
