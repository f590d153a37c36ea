"""What a trial cost: its usage at the price in force. The price decides no score: it is in no
fingerprint and in no key.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bench.records.schema import Cost

if TYPE_CHECKING:
    from bench.catalogue.price import Price
    from bench.contract.stage import Reranker

SUITE = "suite"


def price_of(reranker: Reranker) -> Price | None:
    """What a reranker's service charges, as the suite or the catalogue has it; None for what costs
    nothing by the query.
    """
    ask: Any = getattr(reranker, "price", None)
    found: Price | None = ask() if callable(ask) else None
    return found


def cost(usage: Mapping[str, float], price: Price | None, queries: int) -> Cost | None:
    """The cost of `queries` answered queries together and per 1,000 of them.

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
