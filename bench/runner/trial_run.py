"""One trial on its way through a run: what was planned, what it measured, what became of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from bench.contract.identity import Fields
from bench.contract.scored import Scored
from bench.contract.trial import Trial
from bench.quality.assess import Assessed
from bench.records.learned import LearnedRecord
from bench.records.losses import LossRecord
from bench.records.schema import StageRecord
from bench.runner.rankings import Ranked
from bench.suite.planning import Planned


@dataclass(frozen=True)
class Measured:
    """What the quality pass over a trial left. `stages` are those of a pipeline, `learned` those
    that were trained.
    """

    scored: Scored
    assessed: Assessed
    ranked: Ranked
    stages: Sequence[StageRecord] = ()
    learned: Sequence[LearnedRecord] = ()
    losses: LossRecord | None = None


@dataclass
class TrialRun:
    """A trial with its results. `measured` is None before it was scored and after it failed;
    `description` is what a network without weights said that it built.
    """

    planned: Planned
    measured: Measured | None = None
    description: Fields = field(default_factory=dict)

    @property
    def trial(self) -> Trial:
        return self.planned.trial

    @property
    def is_pending(self) -> bool:
        return self.planned.status.status == "pending"

    @property
    def is_done(self) -> bool:
        return self.planned.status.status == "done"

    @property
    def has_no_quality(self) -> bool:
        """Whether it is timed and never scored: a network without its weights."""
        return self.trial.kind == "architecture"

    @property
    def does_work(self) -> bool:
        """Whether it has a time: on this machine or another one."""
        return self.planned.reranker.placement != "none"
