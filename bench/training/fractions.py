"""Shares of the training queries, for learning curves: each larger one holds the smaller ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bench.core.digest import digest_of
from bench.training.lists import TrainingData, TrainingList


def subset(data: TrainingData, fraction: float, seed: int) -> TrainingData:
    """Return the data with a share of the training queries, at least one; dev stays as it is. The
    counts are of all queries: those of negatives by kind are known of these alone.
    """
    if fraction >= 1:
        return data
    count = max(1, round(fraction * len(data.train)))
    chosen = {row.query_id for row in _shuffled(data.train, seed)[:count]}
    train = [row for row in data.train if row.query_id in chosen]
    return replace(data, train=train)


def _shuffled(rows: Sequence[TrainingList], seed: int) -> list[TrainingList]:
    """Return lists in an order that the seed and each query decide, whatever others there are."""
    return sorted(rows, key=lambda row: digest_of([seed, row.query_id]))
