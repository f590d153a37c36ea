"""The pipelines that are composed where none is named: cascades of two and three stages over a
ladder of depths, fusions of rows, blends with the scores of the first stage.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations, permutations

from bench.composition.chain import Chain
from bench.composition.hybrids import EQUAL, Hybrid
from bench.composition.rules import SkipRule
from bench.composition.stored import Stored
from bench.composition.works import BEFORE, Fuse, Rank, Skip, Step

LADDER = (10, 20, 50, 100, 200, 500, 1000)
"""Documents per query that stages hand on."""
UNSURE = SkipRule("margin_quantile", 0.5)
"""Half of the queries: those whose first document is the least ahead of the second."""
LARGEST = 3000
"""Pipelines that a grid has at most: every other depth is left out until there are no more."""


def grid(dataset: Stored, ladder: Sequence[int] = LADDER) -> list[Chain]:
    """Return the pipelines that the stored scores of a dataset may allow."""
    while True:
        chains = list(dict.fromkeys(_chains(dataset, ladder)))
        if len(chains) <= LARGEST or len(ladder) < 2:
            return chains
        ladder = ladder[::2]


def blends(dataset: Stored, ladder: Sequence[int] = LADDER) -> Iterator[Chain]:
    """Yield the blends of each row with the first stage, whose weights are to be tuned."""
    exact = [name for name in _pointwise(dataset) if dataset.rows[name][0].is_exact]
    for name in _firsts(dataset):
        for depth in depths(dataset.first_stages[name].depth, ladder):
            for row in exact:
                yield Chain(name, depth, (Step(Fuse((row, BEFORE), "weighted")),))


def hybrids_to_tune(dataset: Stored) -> Iterator[Hybrid]:
    """Yield the sums of z-scores of each two first stages, whose weights are to be tuned."""
    for hybrid in dataset.hybrids.values():
        if len(hybrid.members) == 2 and hybrid.fusion == EQUAL[1] and hybrid.at is None:
            yield hybrid


def over_hybrid(dataset: Stored, hybrid: Hybrid) -> Iterator[Chain]:
    """Yield a hybrid alone, and each row that scores single documents over it."""
    yield Chain(hybrid.name, hybrid.width)
    for row in _pointwise(dataset):
        yield Chain(hybrid.name, hybrid.width, (Step(Rank(row)),))


def depths(deepest: int, ladder: Sequence[int]) -> list[int]:
    """Return the ladder below a depth, and that depth."""
    return [*(step for step in ladder if step < deepest), deepest]


def _chains(dataset: Stored, ladder: Sequence[int]) -> Iterator[Chain]:
    rows = _pointwise(dataset)
    for name in _firsts(dataset):
        stage = dataset.first_stages[name]
        yield Chain(name, stage.depth)
        yield from _over_own_lists(dataset, name)
        steps = depths(stage.depth, ladder)
        for depth in steps:
            for row in rows:
                yield Chain(name, depth, (Step(Rank(row)),))
                yield Chain(name, depth, (Step(Skip(row, UNSURE)),))
            for pair in combinations(rows, 2):
                for fusion in EQUAL:
                    yield Chain(name, depth, (Step(Fuse(pair, fusion.by)),))
            for keep in steps:
                if keep < depth:
                    yield from _of_three(rows, Chain(name, depth), keep)


def _firsts(dataset: Stored) -> list[str]:
    """Return the first stages that are no beginning of another one."""
    return [name for name in dataset.first_stages if dataset.begins(name) == name]


def _over_own_lists(dataset: Stored, first: str) -> Iterator[Chain]:
    """Yield the rows that depend on their list, over those lists of a first stage."""
    for row, lists in dataset.rows.items():
        for own in lists:
            if own.over is not None and own.over[0] == first:
                yield Chain(*own.over, (Step(Rank(row)),))


def _of_three(rows: Sequence[str], first: Chain, keep: int) -> Iterator[Chain]:
    for middle, last in permutations(rows, 2):
        steps = (Step(Rank(middle), keep), Step(Rank(last)))
        yield Chain(first.first, first.depth, steps)


def _pointwise(dataset: Stored) -> list[str]:
    return [name for name, lists in dataset.rows.items() if None in {own.over for own in lists}]
