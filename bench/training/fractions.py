"""Shares of the training queries, for learning curves: each larger one holds the smaller ones."""

from __future__ import annotations

from dataclasses import replace

from bench.datasets.prepare import in_sample_order
from bench.training.lists import TrainingData


def subset(data: TrainingData, fraction: float, seed: int) -> TrainingData:
    """Return the data with a share of the training queries, at least one; dev stays as it is. The
    counts are of all queries: those of negatives by kind are known of these alone.
    """
    if fraction >= 1:
        return data
    count = max(1, round(fraction * len(data.train)))
    order = in_sample_order([row.query_id for row in data.train], seed)
    chosen = set(order[:count])
    train = [row for row in data.train if row.query_id in chosen]
    return replace(data, train=train)
