"""The candidates of one first stage in a run, and what was scored over them."""

from __future__ import annotations

from dataclasses import dataclass

from bench.composition.pool import Lists


@dataclass(frozen=True)
class TrialScores:
    """What one trial scored, by query. Where the run holds no scores of all its candidates, as an
    older one, `lists` are its rankings: their order is the same, and they are not exact.
    """

    trial_id: str
    name: str
    lists: Lists
    failed: frozenset[str]
    is_pointwise: bool
    is_exact: bool


@dataclass(frozen=True)
class Group:
    """The candidates of one first stage at one depth, and what was scored over them."""

    first: str
    depth: int
    trial_id: str
    lists: Lists
    trials: tuple[TrialScores, ...]
