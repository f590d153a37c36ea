"""Which mark a reranker has: the same in every picture of a run, whatever is drawn in it."""

from __future__ import annotations

from bench.records.run import Run
from bench.reports.charts.svg import Mark


def marks_of(run: Run) -> dict[str, Mark]:
    """Return trial id -> its mark, from the order of the run's rows; references have none."""
    trials = [status.trial for status in run.info.trials if status.trial.kind != "reference"]
    devices: dict[str, list[str | None]] = {}
    for trial in trials:
        devices.setdefault(trial.reranker, []).append(trial.device)
    names = list(devices)
    marks = {}
    for trial in trials:
        is_second = trial.device != devices[trial.reranker][0]
        marks[trial.id] = Mark(names.index(trial.reranker), hollow=is_second)
    return marks
