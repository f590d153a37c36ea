"""The queries that a report of a large run draws from: some thousand say as much as all of them."""

from __future__ import annotations

from collections.abc import Collection, Sequence

SAMPLED = 2_000
"""Queries up to which nothing is left out."""


def sampled(query_ids: Sequence[str], seed: int) -> Collection[str] | None:
    """Return SAMPLED of the queries, drawn at random by the seed; None where there are no more."""
    import numpy as np

    if len(query_ids) <= SAMPLED:
        return None
    drawn = np.random.default_rng(seed).choice(len(query_ids), SAMPLED, replace=False)
    return frozenset([query_ids[place] for place in drawn.tolist()])
