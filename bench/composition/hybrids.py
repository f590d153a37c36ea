"""Hybrids of a run's first stages: their stored lists fused, as the first stage `hybrid` fuses
them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

from bench.composition.groups import Group
from bench.composition.names import number, quoted, weight
from bench.composition.pool import Lists
from bench.contract.candidates import QueryCandidates
from bench.ranking.fusion import (
    RANK_CONSTANT,
    Contributions,
    Norm,
    rrf_contributions,
    weighted_contributions,
)

By = Literal["rrf", "weighted"]


@dataclass(frozen=True)
class Fusion:
    """How several lists become one: by reciprocal ranks or by weighted scores; equal weights where
    none are given.
    """

    by: By = "rrf"
    weights: tuple[float, ...] | None = None
    norm: Norm = "z-score"
    k: float = RANK_CONSTANT

    def contributions(self, lists: Sequence[QueryCandidates]) -> Contributions:
        """Return what each of a query's lists adds to each document, before weights."""
        if self.by == "rrf":
            return rrf_contributions(lists, self.k)
        return weighted_contributions(lists, self.norm)

    def options(self) -> dict[str, object]:
        """Return the fusion as options of a suite."""
        options: dict[str, object] = {"by": self.by}
        if self.weights is not None:
            options["weights"] = list(self.weights)
        if self.by == "rrf":
            options["k"] = self.k
        else:
            options["norm"] = self.norm
        return options

    def words(self, names: Sequence[str], other: Fusion | None = None) -> list[str]:
        """Return what is fused, each with its weight where these are not all 1, and a k of its own.
        `other` has the weights of the second half of the queries, where these have others.
        """
        equal = (1.0,) * len(names)
        weights = self.weights or equal
        others = weights if other is None else other.weights or equal
        words = [quoted(name) for name in names]
        if {*weights, *others} != {1.0}:
            numbers = map(weight, weights, others)
            words = [" ".join(pair) for pair in zip(words, numbers, strict=True)]
        if self.by == "rrf" and self.k != RANK_CONSTANT:
            words.append(f"k {number(self.k)}")
        return words


EQUAL = (Fusion(), Fusion("weighted"))
"""The hybrids that are composed where none is named."""


@dataclass(frozen=True)
class Hybrid:
    """A fusion of the lists of first stages; `at` is how many documents each of them gives, as many
    as the shortest has where it is None.
    """

    members: tuple[Group, ...]
    fusion: Fusion
    at: int | None = None

    @property
    def shortest(self) -> int:
        """The documents per query that each of the first stages has."""
        return min(group.depth for group in self.members)

    @property
    def width(self) -> int:
        return self.at or self.shortest

    @property
    def name(self) -> str:
        """How a line names it: hybrid(bm25, dense), or z-score(bm25 0.3, dense 0.7)."""
        return self.written()

    def written(self, other: Hybrid | None = None) -> str:
        """Return its name; with the weights of the other one for the second half of the queries,
        which differs in these alone.
        """
        kind = self.fusion.norm if self.fusion.by == "weighted" else "hybrid"
        names = [group.first for group in self.members]
        words = self.fusion.words(names, other.fusion if other is not None else None)
        if self.width != self.shortest:
            words.append(f"{self.width} each")
        return f"{kind}({', '.join(words)})"

    def lists(self) -> Lists:
        """Return its candidates, per query."""
        nothing = QueryCandidates((), ())
        query_ids: dict[str, None] = {}
        for group in self.members:
            query_ids |= dict.fromkeys(group.lists)
        weights = self.fusion.weights
        lists: dict[str, QueryCandidates] = {}
        for query_id in query_ids:
            parts = [group.lists.get(query_id, nothing).first(self.width) for group in self.members]
            ranking = self.fusion.contributions(parts).ranking(weights)
            lists[query_id] = ranking.first(self.width)
        return lists


def hybrids_of(groups: Sequence[Group]) -> Iterator[Hybrid]:
    """Yield the hybrids of each two first stages and of all of them, with equal weights."""
    sets: list[tuple[Group, ...]] = list(combinations(groups, 2))
    if len(groups) > 2:
        sets.append(tuple(groups))
    for members in sets:
        for fusion in EQUAL:
            yield Hybrid(members, fusion)
