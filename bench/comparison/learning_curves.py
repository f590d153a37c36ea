"""What more labelled queries bring: rows that one recipe trained on growing shares of its training
queries, next to their untuned base.

The rule for whether more labels are likely to help looks at the two largest shares alone: the mean
paired difference on the test queries, per doubling of the labelled queries, with its 95 % bootstrap
interval. Above 0: likely. Below WORTH: unlikely, whatever its sign. Else the curve cannot say. One
training per share stands behind it, so that seeds are not in the interval.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from bench.comparison.pairs import Side, paired
from bench.contract.trial import FIRST_STAGE
from bench.quality import statistics
from bench.quality.statistics import Difference, Estimate
from bench.records.facts import TrainingFacts
from bench.records.measure import resolve_measure
from bench.records.rows import GroupKey, group_of
from bench.records.run import Run
from bench.records.schema import Record

WORTH = 0.005
"""A gain of the measure per doubling of the labels below which these are not worth it."""


class Outlook(StrEnum):
    """Whether more labels are likely to help."""

    LIKELY = "likely"
    UNLIKELY = "unlikely"
    UNCLEAR = "unclear"
    UNKNOWN = "unknown"
    """There is one share alone."""


@dataclass(frozen=True)
class Share:
    """A training on a share of the queries: their number, its value, and what it gains."""

    record: Record
    queries: int
    value: Estimate
    gain: Difference


@dataclass(frozen=True)
class LearningCurve:
    """The trainings of a recipe by growing shares. `base` is what gains are to: the untuned base,
    or the first stage where the run has no row of it. `doubling` is the difference of the two
    largest shares per doubling of the queries, None of one alone.
    """

    recipe: str
    group: GroupKey
    measure: str
    base: Record
    shares: Sequence[Share]
    doubling: Difference | None

    @property
    def outlook(self) -> Outlook:
        if self.doubling is None:
            return Outlook.UNKNOWN
        if self.doubling.low > 0:
            return Outlook.LIKELY
        if self.doubling.high < WORTH:
            return Outlook.UNLIKELY
        return Outlook.UNCLEAR


class _Training(NamedTuple):
    """A record of a row that a recipe trained, and what it says of that."""

    record: Record
    facts: TrainingFacts


def learning_curves(run: Run) -> list[LearningCurve]:
    """Return the learning curves of a run, a group after the other."""
    members: dict[tuple[GroupKey, str, str | None], list[_Training]] = {}
    for record in run.records.values():
        facts = training_of(record)
        if facts is not None and not record.mostly_failed:
            key = (group_of(record.trial), facts["recipe"], record.trial.device)
            members.setdefault(key, []).append(_Training(record, facts))
    curves: list[LearningCurve] = []
    for (group, recipe, _), trainings in members.items():
        curve = _curve(run, group, recipe, trainings)
        if curve is not None:
            curves.append(curve)
    return curves


def training_of(record: Record) -> TrainingFacts | None:
    """Return what a record says of the training of its row; None where no recipe trained it."""
    return record.description.get("facts", {}).get("training")


def _curve(
    run: Run, group: GroupKey, recipe: str, trainings: Sequence[_Training]
) -> LearningCurve | None:
    """Return the curve of one recipe; None where it has no training or nothing to compare with."""
    measure = resolve_measure(run, None)
    in_order = sorted(trainings, key=lambda training: training.facts["fraction"])
    trained = [training for training in in_order if training.facts["fraction"]]
    base = next((own.record for own in trainings if not own.facts["fraction"]), None)
    if base is None:
        base = _first_stage(run, group)
    if base is None or len(trained) < 2:
        return None
    shares = [_share(run, training, base, measure) for training in trained]
    return LearningCurve(recipe, group, measure, base, shares, _doubling(run, shares, measure))


def _first_stage(run: Run, group: GroupKey) -> Record | None:
    for record in run.records.values():
        if record.trial.reranker == FIRST_STAGE and group_of(record.trial) == group:
            return record
    return None


def _share(run: Run, training: _Training, base: Record, measure: str) -> Share:
    record, facts = training
    pair = paired(Side(run, record), Side(run, base), measure, seed=run.seed)
    value = record.quality[measure]
    return Share(record, facts["queries"], value, pair.difference)


def _doubling(run: Run, shares: Sequence[Share], measure: str) -> Difference | None:
    """Return what the last step of the curve brings, per doubling of the queries."""
    before, last = shares[-2:]
    if not 0 < before.queries < last.queries:
        return None
    doublings = math.log2(last.queries / before.queries)
    pair = paired(Side(run, last.record), Side(run, before.record), measure, seed=run.seed)
    deltas = [delta / doublings for delta in pair.deltas.values()]
    return statistics.difference(deltas, [0.0] * len(deltas), run.seed)
