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
    found: dict[GroupKey, list[Agreement]] = {}
    for group, held in groups(sides(run, references=False)).items():
        pairs = [
            (side, plain)
            for side in held
            if (plain := _plain(side, held)) and plain.trial.id != side.trial.id
        ]
        made = [one for pair in pairs if (one := _agreement(*pair))]
        if made:
            found[group] = made
    return found


def _plain(side: Side, held: Sequence[Side]) -> Side | None:
    same = [
        other
        for other in held
        if other.record.identity.arithmetic.is_plain and _model(other) == _model(side)
    ]
    return next(
        (one for one in same if one.trial.device == side.trial.device), same[0] if same else None
    )


def _agreement(side: Side, plain: Side) -> Agreement | None:
    if not all(one.run.has_ranking(one.trial.id) for one in (side, plain)):
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
