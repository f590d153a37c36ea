"""What a composed pipeline costs: what its rows were billed, at the depth that they get."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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


def price_of(
    chain: Chain,
    rows: Mapping[str, RowPrice],
    shares: Mapping[Chain, Mapping[str, float]] | None = None,
) -> float | None:
    """Return the dollars per 1,000 queries of a chain; None where those of a row are not known.
    `shares` are what the last stage of a chain scores of each query, where that is not all.
    """
    total = 0.0
    for number, (step, depth) in enumerate(zip(chain.steps, chain.received(), strict=True), 1):
        prefix = Chain(chain.first, chain.depth, chain.steps[:number])
        of_queries = list((shares or {}).get(prefix, {}).values())
        for name in step.work.rows:
            usd = rows[name].at(depth)
            if usd is None:
                return None
            total += usd * _billed(rows[name], of_queries)
    return total


def _billed(price: RowPrice, shares: Sequence[float]) -> float:
    """Return the share of a row's price that is billed: of its documents, or of its queries where
    any number of documents costs the same.
    """
    if not shares:
        return 1.0
    if price.by_tokens:
        return sum(shares) / len(shares)
    return sum(share > 0 for share in shares) / len(shares)
