"""Whether what a pipeline adds is worth its price: over its first stage, over the best order that
needs no reranker, in time and money per point, and whether the choice holds on other queries.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.comparison.fused import FusedSearch, fused_search
from bench.core.errors import DataError
from bench.datasets.folds import folds
from bench.quality import statistics
from bench.quality.statistics import Difference
from bench.records.rows import Row
from bench.records.run import Run

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]

POINT = 0.01
"""A point of a measure."""
HALVES = 2_000
"""Random halves of the queries. A share of them then varies by .011 at most (standard deviation)
from seed to seed.
"""
AT_ONCE = 50
"""Halves that are in memory together."""


@dataclass(frozen=True)
class Worth:
    """What a row is worth by one measure.

    `gain` is over its own first stage, `over_search` over the order of a first stage alone: for
    each half of the queries, the one that is best on the other half (None where the dataset has one
    first stage), `over_fusion` over the tuned fusion of all first stages (None where the run has no
    scores of two). `best_in_halves` is the share of random halves of the queries on which no other
    row and no first stage is better. `added_ms` is the median time that it adds to the search,
    `usd` its price per 1,000 queries, None where they are not known.
    """

    row: Row
    gain: Difference
    over_search: Difference | None
    best_in_halves: float
    added_ms: float | None
    usd: float | None
    over_fusion: Difference | None = None

    @property
    def hurt(self) -> float:
        """The share of queries that it makes worse than its first stage."""
        return self.gain.losses / self.gain.queries

    @property
    def helped(self) -> float:
        """The share of queries that it makes better than its first stage."""
        return self.gain.wins / self.gain.queries

    @property
    def ms_per_point(self) -> float | None:
        """Milliseconds per query for a point of the measure; None where nothing is gained."""
        return self._per_point(self.added_ms)

    @property
    def usd_per_point(self) -> float | None:
        """Dollars per 1,000 queries for a point of the measure; None where nothing is gained."""
        return self._per_point(self.usd)

    def _per_point(self, price: float | None) -> float | None:
        if price is None or self.gain.mean <= 0:
            return None
        return price / (self.gain.mean / POINT)


@dataclass(frozen=True)
class Worths:
    """The rows of a dataset that compete, best first; a choice is made between these and its first
    stages. `search` names the first stages, `best_search` the one that is best on all queries.
    `survival` is the share of random halves of the queries whose best choice is also the best of
    the other half.
    """

    dataset: str
    measure: str
    rows: Sequence[Worth]
    search: Sequence[str]
    best_search: str
    survival: float
    queries: int
    fusion: FusedSearch | None = None
    """The first stages fused, without a reranker."""


def worths(run: Run, members: Sequence[Row], measure: str) -> Worths | None:
    """Return what the competing rows of one dataset are worth; None where there are none, or where
    fewer than two queries are answered by all.
    """
    import numpy as np

    firsts = [row for row in members if row.trial.is_first_stage and measure in row.quality]
    competing = [row for row in members if row.competes(measure) and measure in row.differences]
    if not firsts or not competing:
        return None
    values = {row.trial.id: run.values(row.trial.id, measure) for row in (*firsts, *competing)}
    query_ids = [
        query_id
        for query_id in values[firsts[0].trial.id]
        if all(query_id in of_row for of_row in values.values())
    ]
    # one query has no halves
    if len(query_ids) < 2:
        return None
    search = _matrix([values[row.trial.id] for row in firsts], query_ids)
    reranked = _matrix([values[row.trial.id] for row in competing], query_ids)
    chosen = _chosen(run, search, query_ids)
    fusion = fused_search(run, firsts, measure, query_ids)
    shares, survival = _halves(np.concatenate([reranked, search]), run.seed)
    rows: list[Worth] = []
    for row, own, share in zip(competing, reranked, shares[: len(competing)], strict=True):
        over_search: Difference | None = None
        if chosen is not None:
            over_search = statistics.difference(list(own), list(chosen), run.seed)
        over_fusion: Difference | None = None
        if fusion is not None:
            over_fusion = statistics.difference(list(own), fusion.values, run.seed)
        rows.append(
            Worth(
                row,
                row.differences[measure],
                over_search,
                share,
                _added_ms(row),
                row.cost.usd_per_1000_queries if row.cost else None,
                over_fusion,
            )
        )
    rows.sort(key=lambda worth: -worth.row.quality[measure].mean)
    best = max(range(len(firsts)), key=lambda place: float(search[place].mean()))
    names = [row.trial.first_stage for row in firsts]
    dataset = firsts[0].trial.dataset
    return Worths(dataset, measure, rows, names, names[best], survival, len(query_ids), fusion)


def _matrix(rows: Sequence[Mapping[str, float]], query_ids: Sequence[str]) -> Matrix:
    """Return per-query values, shape (rows, queries)."""
    import numpy as np

    matrix = np.empty((len(rows), len(query_ids)))
    for place, values in enumerate(rows):
        matrix[place] = [values[query_id] for query_id in query_ids]
    return matrix


def _chosen(run: Run, search: Matrix, query_ids: Sequence[str]) -> Matrix | None:
    """Return per query the value of the first stage that is best on the other half of the queries;
    None where there is no choice.
    """
    import numpy as np

    if len(search) < 2:
        return None
    texts = dict(zip(run.queries["query"], run.queries["text"], strict=True))
    try:
        fold_of = folds({name: str(texts.get(name, name)) for name in query_ids}, 2, run.seed)
    except DataError:
        return None
    half = np.array([fold_of[query_id] for query_id in query_ids])
    chosen = np.empty(len(query_ids))
    for number in (0, 1):
        best = int(search[:, half != number].mean(axis=1).argmax())
        chosen[half == number] = search[best, half == number]
    return chosen


def _halves(choices: Matrix, seed: int) -> tuple[list[float], float]:
    """Return, per choice, the share of random halves of the queries on which nothing is better, and
    the share of halves whose best choice is also the best of the other half.

    A coin says in which half a query is; halves without a query say nothing.
    """
    import numpy as np

    count, queries = choices.shape
    generator = np.random.default_rng(seed)
    totals = choices.sum(axis=1)
    # a choice that is 1 everywhere counts the queries of a half
    counted = np.vstack([choices, np.ones(queries)]).T
    best = np.zeros(count)
    survived = 0
    halves = 0
    for _ in range(0, HALVES, AT_ONCE):
        coins = generator.integers(0, 2, size=(AT_ONCE, queries), dtype=np.uint8)
        sums = coins.astype(np.float64) @ counted
        sums = sums[(sums[:, -1] > 0) & (sums[:, -1] < queries)]
        sizes = sums[:, -1:]
        sums = sums[:, :-1]
        is_best = _is_best(sums / sizes)
        of_others = _is_best((totals - sums) / (queries - sizes))
        best += is_best.sum(axis=0)
        survived += int(of_others[np.arange(len(sums)), is_best.argmax(axis=1)].sum())
        halves += len(sums)
    return [float(share) for share in best / halves], survived / halves


def _is_best(means: Matrix) -> NDArray[np.bool_]:
    """Return which choices of each half, shape (halves, choices), have its highest mean. Equal
    means are equally good.
    """
    best: NDArray[np.bool_] = means >= means.max(axis=1, keepdims=True) - statistics.EQUAL
    return best


def _added_ms(row: Row) -> float | None:
    """Return the median time of a query, less that of the search where it is a part of it."""
    summary = row.query_here or row.query_elsewhere
    if summary is None:
        return None
    if not row.stages:
        return summary.p50_ms
    for pieces in row.parts.values():
        if row.stages[0].name in pieces:
            return summary.p50_ms - pieces[row.stages[0].name]
    return None
