"""What a faster way costs in scores: every row that runs a model in another way, against the same
model in torch and float32.

Parity by itself, from records and rankings alone, so that no speed stands in a report without what
it did to the order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from bench.comparison.drift import Drift
from bench.comparison.pairs import Side, sides
from bench.comparison.parity import parity
from bench.contract.identity import Arithmetic, Identity
from bench.core.errors import IncomparableError
from bench.records.rows import GroupKey, groups
from bench.records.run import Run


@dataclass(frozen=True)
class Agreement:
    """`new` against `plain`, the same model in torch and float32 over the same candidates. `change`
    is of the mean of `measure`.
    """

    new: Side
    plain: Side
    drift: Drift
    measure: str
    change: float


@lru_cache(maxsize=1)  # every report of a run asks, and every line reads two rankings
def agreements(run: Run) -> dict[GroupKey, list[Agreement]]:
    """By group, every row whose model has a plain row beside it: on the same device where there is
    one, else the first.
    """
    by_group: dict[GroupKey, list[Agreement]] = {}
    for group, members in groups(sides(run, references=False)).items():
        for side in members:
            plain = _plain(side, members)
            if plain is None or plain.trial.id == side.trial.id:
                continue
            agreement = _agreement(side, plain)
            if agreement is not None:
                by_group.setdefault(group, []).append(agreement)
    return by_group


def _plain(side: Side, members: Sequence[Side]) -> Side | None:
    """Return the plain row of a side's model, on its device where there is one."""
    first: Side | None = None
    for other in members:
        if other.record.identity.arithmetic.is_plain and _model(other) == _model(side):
            if other.trial.device == side.trial.device:
                return other
            first = first or other
    return first


def _agreement(side: Side, plain: Side) -> Agreement | None:
    if not (side.run.has_ranking(side.trial.id) and plain.run.has_ranking(plain.trial.id)):
        return None
    try:
        measure = next(iter(plain.record.quality))
        change = side.record.quality[measure].mean - plain.record.quality[measure].mean
        return Agreement(side, plain, parity(side, plain).drift, measure, change)
    # no quality to compare, as where weights are random: the rows stand without a line
    except (IncomparableError, KeyError, StopIteration):
        return None


def _model(side: Side) -> Identity:
    """Return which model a row runs, whatever computes it."""
    return replace(side.record.identity, arithmetic=Arithmetic(), libraries={})
