"""The queries that a report of a large run draws from: some thousand say as much as all of them."""

from __future__ import annotations

from collections.abc import Collection, Sequence

SAMPLED = 2_000
SAMPLED_DOCUMENTS = 300_000
"""Queries, and documents of queries, up to which nothing is left out."""


def sampled(query_ids: Sequence[str], seed: int, documents: float) -> Collection[str] | None:
    """Return SAMPLED of the queries, or as many as have SAMPLED_DOCUMENTS together, drawn at random
    by the seed; None where there are no more. `documents` are those of a query, on average.
    """
    import numpy as np

    count = max(1, min(SAMPLED, int(SAMPLED_DOCUMENTS / max(1.0, documents))))
    if len(query_ids) <= count:
        return None
    drawn = np.random.default_rng(seed).choice(len(query_ids), count, replace=False)
    return frozenset([query_ids[place] for place in drawn.tolist()])
