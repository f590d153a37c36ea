"""What a composed pipeline costs: what its rows were billed, at the depth that they get."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bench.composition.chain import Chain
from bench.records.schema import Record

TOKENS = "million tokens"
"""The unit that falls with the number of documents; a search or a request costs the same for
any.
"""


@dataclass(frozen=True)
class RowPrice:
    """Dollars per 1,000 queries at `documents` per query, None where they are not known. Of a row
    that is billed by tokens they fall with the documents.
    """

    usd_per_1000: float | None
    documents: float
    by_tokens: bool = True

    def at(self, depth: int) -> float | None:
        """Return dollars per 1,000 queries at a number of documents per query."""
        if self.usd_per_1000 is None or not self.by_tokens or not self.documents:
            return self.usd_per_1000
        return self.usd_per_1000 * min(1.0, depth / self.documents)


def row_price(record: Record) -> RowPrice:
    """Return what a row of a run costs: nothing where this machine does the work, and not known
    where a service was asked that no price is known of.
    """
    answered = record.counts.called - record.counts.failed
    documents = record.counts.pairs / max(1, answered)
    if record.cost is not None:
        cost = record.cost
        return RowPrice(cost.usd_per_1000_queries, documents, cost.unit == TOKENS)
    if record.trial.device is None and record.usage.get("calls"):
        return RowPrice(None, documents)
    return RowPrice(0.0, documents)


def price_of(chain: Chain, rows: Mapping[str, RowPrice]) -> float | None:
    """Return the dollars per 1,000 queries of a chain; None where those of a row are not known."""
    total = 0.0
    for name, depth in chain.scored():
        usd = rows[name].at(depth)
        if usd is None:
            return None
        total += usd
    return total
