"""The portions of judged queries: to train on, to choose the best step by, and to measure once.

What belongs together is in one portion: queries that ask the same or nearly the same, and queries
that share a relevant document, or whose relevant documents share a value of a field.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import NamedTuple

from bench.core.errors import DataError
from bench.datasets.base import content_hash
from bench.datasets.judged_queries import Judged, JudgedQuery, field_values
from bench.datasets.similarity import near_pairs


class Portions(NamedTuple):
    """Queries by portion, each in the order in which they were given."""

    train: Sequence[JudgedQuery]
    dev: Sequence[JudgedQuery] = ()
    test: Sequence[JudgedQuery] = ()


def parted(
    judged: Judged, dev: float | None, test: float | None, split_by: str | None, seed: int
) -> Portions:
    """Return the queries in portions of at most these shares, drawn by the seed. None leaves a
    portion out.

    Groups of queries are taken in the order of a hash, a group that is too large for what is left
    of a share being passed over; where all are too large, the smallest one is the portion. Raises
    DataError where nothing would be left to train on.
    """
    groups = _groups(judged, split_by)
    groups.sort(key=lambda group: content_hash([(str(seed), min(query.name for query in group))]))
    total = len(judged.queries)
    shares: list[Sequence[JudgedQuery]] = []
    for name, share in (("test", test), ("dev", dev)):
        drawn: list[JudgedQuery] = []
        if share is not None:
            drawn = _drawn(groups, round(share * total), name, split_by)
        shares.append(drawn)
    places = {query.name: place for place, query in enumerate(judged.queries)}
    rest: list[JudgedQuery] = []
    for group in groups:
        rest += group
    in_order = [sorted(part, key=lambda query: places[query.name]) for part in (rest, *shares)]
    return Portions(in_order[0], in_order[2], in_order[1])


def _drawn(
    groups: list[list[JudgedQuery]], wanted: int, name: str, split_by: str | None
) -> list[JudgedQuery]:
    """Return the queries of a portion, and take their groups out of the others."""
    if len(groups) < 2:
        together = "ask the same or share relevant documents"
        if split_by is not None:
            together = f"share a value of '{split_by}'"
        raise DataError(
            f"{name}: all queries {together}, so that no share of them can be set apart: name a "
            f"dataset for {name}, or give more data"
        )
    drawn: list[JudgedQuery] = []
    left: list[list[JudgedQuery]] = []
    for group in groups:
        if len(drawn) + len(group) <= wanted:
            drawn += group
        else:
            left.append(group)
    if not drawn:
        smallest = min(left, key=len)
        left.remove(smallest)
        drawn = smallest
    if not left:
        raise DataError(f"{name}: its share leaves no query to train on: lower it")
    groups[:] = left
    return drawn


def _groups(judged: Judged, split_by: str | None) -> list[list[JudgedQuery]]:
    """Return the queries that belong together, each group in the order of its queries."""
    queries = judged.queries
    sets = _DisjointSets(len(queries))
    first_with: dict[Hashable, int] = {}
    for place, keys in enumerate(_keys(judged, split_by)):
        for key in keys:
            sets.unite(first_with.setdefault(key, place), place)
    words = [query.words for query in queries]
    for place, other in near_pairs(words, words):
        sets.unite(place, other)
    groups: dict[int, list[JudgedQuery]] = {}
    for place, query in enumerate(queries):
        groups.setdefault(sets.root(place), []).append(query)
    return list(groups.values())


def _keys(judged: Judged, split_by: str | None) -> list[set[Hashable]]:
    """Return what each query has in common with others, where they have it."""
    values: list[Mapping[str, str]] = []
    if split_by is not None:
        values = values_of(judged, split_by)
    rows: list[set[Hashable]] = []
    for query in judged.queries:
        keys: set[Hashable] = {("text", query.key)}
        keys |= {("document", digest) for digest in query.texts}
        if split_by is not None:
            by_document = values[query.dataset]
            keys |= {("field", by_document[doc_id]) for doc_id in query.positives}
        rows.append(keys)
    return rows


def values_of(judged: Judged, split_by: str) -> list[Mapping[str, str]]:
    """Return the value of a field of each relevant document, per dataset."""
    values: list[Mapping[str, str]] = []
    for place, dataset in enumerate(judged.datasets):
        doc_ids: dict[str, None] = {}
        for query in judged.queries:
            if query.dataset == place:
                doc_ids |= dict.fromkeys(query.positives)
        values.append(field_values(dataset, doc_ids, split_by))
    return values


class _DisjointSets:
    """Sets of places that are united step by step (Tarjan 1975)."""

    def __init__(self, size: int) -> None:
        self._parents = list(range(size))

    def root(self, place: int) -> int:
        while self._parents[place] != place:
            self._parents[place] = self._parents[self._parents[place]]
            place = self._parents[place]
        return place

    def unite(self, place: int, other: int) -> None:
        low, high = sorted((self.root(place), self.root(other)))
        self._parents[high] = low
