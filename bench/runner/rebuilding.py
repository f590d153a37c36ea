"""Trials of a run built anew, from the suite that the run stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from bench import datasets
from bench.contract.trial import Trial
from bench.core.errors import RecordError, RerankerError, SuiteError
from bench.core.handed import is_handed
from bench.core.options import deciding
from bench.core.redaction import HIDDEN
from bench.datasets.base import Dataset
from bench.records.folder import RunFolder
from bench.records.schema import Record
from bench.rerankers.options import declared
from bench.runner.inputs import FINGERPRINT, inputs
from bench.suite import suite
from bench.suite.planning import Group, Planned, plan
from bench.suite.suite import Suite

LEVELS = 4
"""Folders above a run's own in which the files of its suite are looked for."""


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


@dataclass
class Rebuilding:
    """Builds trials of a run anew, and loads their collections: what several of them share is read
    once.
    """

    run: RunFolder
    _trials: dict[str | None, dict[str, Rebuilt]] = field(default_factory=dict)
    _datasets: dict[str, Dataset] = field(default_factory=dict)

    def trial(self, trial: Trial) -> Rebuilt:
        """Return a trial's reranker and its group. Raises BenchError where that is no longer
        possible here.
        """
        if trial.device not in self._trials:
            self._trials[trial.device] = _trials_of(self.run, trial.device)
        return _checked(self.run, trial, self._trials[trial.device])

    def dataset(self, record: Record, again: Rebuilt) -> Dataset:
        """Return the collection of a trial. Raises RerankerError where it is not the one that was
        measured.
        """
        name = record.trial.dataset
        if name not in self._datasets:
            part, own = again.group.dataset, again.suite
            self._datasets[name] = datasets.load(part.name, part.options, own.base_dir, own.seed)
        dataset = self._datasets[name]
        recorded: Mapping[str, Any] = record.keys["quality"].fields.get("dataset", {})
        changed = sorted(key for key in recorded if dataset.identity.get(key) != recorded[key])
        if changed:
            raise RerankerError(f"the collection is another one now: {', '.join(changed)} differ")
        return dataset


def rebuilt(run: RunFolder, trial: Trial) -> Rebuilt:
    """Return one trial, as `Rebuilding` does."""
    return Rebuilding(run).trial(trial)


def _trials_of(run: RunFolder, device: str | None) -> dict[str, Rebuilt]:
    """Return trial id -> what the stored suite gives, planned for a device. Raises BenchError where
    it cannot be read any more.
    """
    stored = stored_suite(run)
    trials: dict[str, Rebuilt] = {}
    for group in plan(stored, device, lenient=True):
        for planned in group.planned:
            trials.setdefault(planned.trial.id, Rebuilt(stored, group, planned))
    return trials


def stored_suite(run: RunFolder) -> Suite:
    """Return the suite that a run stored, its relative paths below the folder that has the files
    which the run read: that of today's commands, or one above the run's own folder, since a run
    folder names no place of a machine. Raises BenchError where it cannot be read any more.
    """
    info = run.info
    text, source = yaml.safe_dump(info.resolved), str(run.folder / "run.json")
    recorded = _files_read(run)
    above = run.folder.resolve().parents[:LEVELS]
    best, number, problems = None, -1, []
    for base_dir in (Path(info.base_dir), *(folder / info.base_dir for folder in above)):
        try:
            stored = suite.parse(text, source, base_dir)
        except SuiteError as error:
            problems.append(error)
            continue
        if (same := _same_files(stored, recorded)) > number:
            best, number = stored, same
        # all files are where they were
        if number == len(recorded):
            break
    if best is None:
        raise RecordError(
            f"{problems[0]}; what the run read is not above its folder either: call this from the "
            "folder of its suite"
        ) from problems[0]
    return best


def _files_read(run: RunFolder) -> dict[str, str]:
    """Return name -> digest of what the run read: inputs that are no versions."""
    libraries = run.info.environment.get("libraries") or {}
    others = {"python", "--fresh", *libraries}
    return {
        name: digest
        for name, digest in run.info.inputs.items()
        if not (name in others or name.startswith(FINGERPRINT) or is_handed(name))
    }


def _same_files(stored: Suite, recorded: Mapping[str, str]) -> int:
    """Return how many of the files that a run read are the same below a suite's folder."""
    digests = inputs(stored, {}, fresh=False)
    return sum(digests.get(name) == digest for name, digest in recorded.items())


def _checked(run: RunFolder, trial: Trial, trials: Mapping[str, Rebuilt]) -> Rebuilt:
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
