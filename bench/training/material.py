"""What lists are made of: training queries with their candidates, and the documents that negatives
may be.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.contract.candidates import QueryCandidates
from bench.datasets.base import Dataset
from bench.datasets.judged_queries import JudgedQuery, field_values
from bench.training.mining import Miner
from bench.training.recipe import Recipe
from bench.training.split import Split


@dataclass(frozen=True)
class Material:
    """Training queries and the candidates of each, by its name. Of each dataset, by its place,
    `barred` are documents that are no negatives, and `collections` all others.
    """

    queries: Sequence[JudgedQuery]
    candidates: Mapping[str, QueryCandidates]
    datasets: Sequence[Dataset]
    collections: Sequence[Sequence[str]]
    barred: Sequence[frozenset[str]]


def material(recipe: Recipe, split: Split, miner: Miner) -> Material:
    """Return the material of a recipe's training queries. With `split_by`, documents of a value
    that dev or test has are barred.
    """
    queries = split.portions.train
    barred: list[frozenset[str]] = []
    collections: list[list[str]] = []
    for place, dataset in enumerate(split.datasets):
        ids = sorted(dataset.documents.ids())
        of_others: frozenset[str] = frozenset()
        if recipe.split_by is not None:
            of_others = _of_other_portions(split, place, ids, recipe.split_by)
        barred.append(of_others)
        collections.append([doc_id for doc_id in ids if doc_id not in of_others])
    candidates = mined(miner, queries, split.datasets)
    return Material(queries, candidates, split.datasets, collections, barred)


def mined(
    miner: Miner, queries: Sequence[JudgedQuery], datasets: Sequence[Dataset]
) -> dict[str, QueryCandidates]:
    """Return the candidates of each query, by its name."""
    candidates: dict[str, QueryCandidates] = {}
    for place, dataset in enumerate(datasets):
        own = [query for query in queries if query.dataset == place]
        if not own:
            continue
        orders = miner.mined(dataset, [query.query_id for query in own])
        for query in own:
            candidates[query.name] = orders.get(query.query_id, QueryCandidates((), ()))
    return candidates


def _of_other_portions(
    split: Split, place: int, ids: Sequence[str], split_by: str
) -> frozenset[str]:
    """Return the documents of a dataset whose value of the field dev or test has, where they are
    shares of the same dataset.
    """
    values = field_values(split.datasets[place], ids, split_by)
    others: set[str] = set()
    for queries, sets in (
        (split.portions.dev, split.dev_datasets),
        (split.portions.test, split.test_datasets),
    ):
        if sets is not split.datasets:
            continue
        for query in queries:
            if query.dataset == place:
                others |= {values[doc_id] for doc_id in query.positives}
    return frozenset(doc_id for doc_id in ids if values[doc_id] in others)
