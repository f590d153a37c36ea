"""Trials of a run built anew, from the suite that the run stored."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from bench.contract.trial import Trial
from bench.core.errors import RecordError, RerankerError
from bench.core.options import deciding
from bench.core.redaction import HIDDEN
from bench.records.folder import RunFolder
from bench.rerankers.options import declared
from bench.suite import suite
from bench.suite.planning import Group, Planned, plan
from bench.suite.suite import Suite


@dataclass(frozen=True)
class Rebuilt:
    """A trial of a run, built anew from the suite that the run stored; nothing is loaded yet."""

    suite: Suite
    group: Group
    planned: Planned

    @property
    def recipe(self) -> tuple[str, Any]:
        """What the suite says about the reranker, and decides its scores or its speed."""
        options = declared(self.planned.reranker.options)
        idle = set(deciding(options, "nothing"))
        return self.planned.part.name, options.model_dump(exclude=idle)


def rebuilt(run: RunFolder, trial: Trial) -> Rebuilt:
    """Return a trial's reranker and its group. Raises BenchError where that is no longer possible
    here.
    """
    return checked(run, trial, trials_of(run, trial.device))


def trials_of(run: RunFolder, device: str | None) -> dict[str, Rebuilt]:
    """Return trial id -> what the stored suite gives, planned for a device. Raises BenchError where
    it cannot be read any more.
    """
    info = run.info
    stored = suite.parse(
        yaml.safe_dump(info.resolved), str(run.folder / "run.json"), Path(info.base_dir)
    )
    trials: dict[str, Rebuilt] = {}
    for group in plan(stored, device, lenient=True):
        for planned in group.planned:
            trials.setdefault(planned.trial.id, Rebuilt(stored, group, planned))
    return trials


def checked(run: RunFolder, trial: Trial, trials: dict[str, Rebuilt]) -> Rebuilt:
    """Return a trial of these. Raises BenchError where it is not among them, or cannot run here."""
    if trial.id not in trials:
        raise RecordError(f"{run.folder}: its suite gives no {trial.id} any more")
    again = trials[trial.id]
    status = again.planned.status
    if status.status != "pending":
        raise RerankerError(f"{trial.id} of {run.info.id} cannot run here: {status.reason}")
    if HIDDEN in str(again.planned.part.options):
        raise RerankerError(
            f"{trial.id} of {run.info.id} was reached with a password, which no run keeps: it "
            "cannot be rebuilt"
        )
    return again
