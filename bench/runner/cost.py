"""What a trial cost: its usage at the price in force. The price decides no score: it is in no
fingerprint and in no key.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from bench.records.schema import Cost

if TYPE_CHECKING:
    from bench.catalogue.price import Price
    from bench.contract.scored import Scored
    from bench.contract.stage import Reranker

SUITE = "suite"


def cost(usage: Mapping[str, float], price: Price | None, queries: int) -> Cost | None:
    """Return the cost of `queries` answered queries together and per 1,000 of them.

    None without a price, and where the service did not say how much it billed: unknown is not free.
    """
    usd = price.bill(usage) if price else None
    if price is None or usd is None or not queries:
        return None
    return Cost(
        usd=usd,
        usd_per_1000_queries=1000 * usd / queries,
        queries=queries,
        units=price.units(usage),
        unit=price.per,
        usd_per_unit=price.usd,
        units_out=price.units_out(usage),
        usd_per_unit_out=price.usd_out,
        as_of=price.as_of.isoformat() if price.as_of else None,
        source=price.source or SUITE,
    )


def cost_of(reranker: Reranker, scored: Scored, queries: int) -> Cost | None:
    """Return the cost of `queries` answered queries: of a reranker that is made of others, the sum
    of the costs of its parts.
    """
    if not reranker.parts:
        return cost(scored.usage, reranker.price(), queries)
    costs: list[Cost] = []
    for part, own in zip(reranker.parts, scored.parts, strict=True):
        paid = cost_of(part.reranker, own, queries)
        if paid is not None:
            costs.append(paid)
    return together(costs)


def together(costs: Sequence[Cost]) -> Cost | None:
    """Return the cost of a pipeline whose priced stages cost this; None where none is priced."""
    if len(costs) < 2:
        return next(iter(costs), None)
    return Cost(
        usd=sum(cost.usd for cost in costs),
        usd_per_1000_queries=sum(cost.usd_per_1000_queries for cost in costs),
        queries=max(cost.queries for cost in costs),
        units=sum(cost.units for cost in costs),
        unit="units of several services",
        usd_per_unit=0.0,
        source="the prices of its stages",
    )
