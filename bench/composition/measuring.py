"""The quality of composed pipelines, per query. Pipelines that begin alike share their stages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bench.composition.chain import Chain
from bench.composition.pool import FirstStage, Pool, StoredRow
from bench.composition.steps import NotStored, Stages, retrieved
from bench.composition.works import Orders
from bench.quality import depth_curve, measures, vectorised
from bench.ranking.order import Ranking

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Values = NDArray[np.float64]

Qrels = Mapping[str, Mapping[str, int]]
PerMeasure = Mapping[str, "Values"]
"""The full name of a measure -> one value per query of the pool."""


@dataclass
class Measuring:
    """Measures chains over one pool, by measures with their full names. `rows` and `first_stages`
    are by the names that chains call them by.
    """

    pool: Pool
    first_stages: Mapping[str, FirstStage]
    rows: Mapping[str, Sequence[StoredRow]]
    names: Sequence[str]
    qrels: Qrels
    texts: Mapping[str, str] = field(default_factory=dict)
    shares: dict[Chain, Mapping[str, float]] = field(default_factory=dict)
    """What the last stage of a chain scored of each query, as a share of what it got at most, where
    that was not all.
    """
    _orders: dict[Chain, Orders] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.stages = Stages(self.pool, self.rows, self.texts)
        self.cutoff = depth_curve.lowest_rank(self.names)
        self._parsed: dict[str, Any] = {name: measures.parse(name) for name in self.names}

    def values(self, chain: Chain) -> PerMeasure:
        """Return the values of a chain. A failed query has 0 in each. Raises NotStored where the
        run lacks scores that it needs.
        """
        return self.measured(self.orders(chain))

    def orders(self, chain: Chain, *, is_prefix: bool = False) -> Orders:
        """Return the orders after a chain's last stage; those of a beginning of other chains are
        kept for them.
        """
        if chain in self._orders:
            return self._orders[chain]
        if not chain.steps:
            orders = retrieved(self._first(chain), chain.depth)
        else:
            before = Chain(chain.first, chain.depth, chain.steps[:-1])
            stood = self.orders(before, is_prefix=True)
            orders = self.stages.apply(stood, chain.steps[-1], before)
            if orders.shares is not None:
                shares = zip(self.pool.query_ids, orders.shares.tolist(), strict=True)
                self.shares[chain] = dict(shares)
        if is_prefix:
            self._orders[chain] = orders
        return orders

    def measured(self, orders: Orders) -> PerMeasure:
        """Return the values of orders, by measure."""
        import numpy as np

        lengths = np.where(orders.failed, 0, orders.lengths)
        judged = self.pool.judged(orders.columns, lengths, self.cutoff)
        values: dict[str, Values] = {}
        for name, measure in self._parsed.items():
            if vectorised.supports(measure):
                values[name] = vectorised.compute(measure, judged)
        rest = [name for name in self.names if name not in values]
        if rest:
            by_name = measures.evaluate(self._rankings(orders, lengths), self._judgments, rest)
            for name in rest:
                values[name] = np.array([by_name[name][query] for query in self.pool.query_ids])
        return values

    @property
    def _judgments(self) -> Qrels:
        return {query_id: self.qrels.get(query_id, {}) for query_id in self.pool.query_ids}

    def _rankings(self, orders: Orders, lengths: Any) -> dict[str, Ranking]:
        rankings: dict[str, Ranking] = {}
        for number, query_id in enumerate(self.pool.query_ids):
            doc_ids = self.pool.doc_ids[number]
            own = tuple(doc_ids[column] for column in orders.columns[number, : lengths[number]])
            if own:
                scores = tuple(float(-place) for place in range(len(own)))
                rankings[query_id] = Ranking(own, scores)
        return rankings

    def _first(self, chain: Chain) -> FirstStage:
        stage = self.first_stages[chain.first]
        if chain.depth > stage.depth:
            raise NotStored(f"{chain.first} retrieved {stage.depth} documents per query")
        return stage
