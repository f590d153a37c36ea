"""A row of a suite with what a finished run has learned of it, for a server: weights and thresholds
of all judged queries as numbers, models as files of the run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bench.contract.part import Part
from bench.core.errors import SuiteError, nearest
from bench.core.filenames import file_stem
from bench.datasets.base import Dataset
from bench.learning.model_files import PROVENANCE
from bench.records.run import Run
from bench.records.schema import Record
from bench.suite.cascade_entry import cascade_of, is_cascade
from bench.suite.named_options import first_stage_options, reranker_options
from bench.suite.naming import display_name
from bench.suite.pipeline_entry import KEEP, PipelineEntry, keep_of, without_keep
from bench.suite.pipeline_planning import cascade_entry
from bench.suite.planning import Group, Planned
from bench.suite.resolved import named_stages
from bench.suite.settled import settled
from bench.suite.suite import Suite

MODELS = "models"
"""The folder of a run with its trained models."""


def with_learned(suite: Suite, group: Group, planned: Planned, dataset: Dataset, run: Run) -> Suite:
    """Return a suite of one row, with what a run has learned of it. Raises SuiteError where the run
    has no such row, over the same data and with the same options.
    """
    trial = planned.trial
    record = _record(run, planned)
    entry = _entry(suite, group, planned)
    _refuse_other_options(run, entry)
    _refuse_other_data(run, record, dataset)
    stages: list[Part] = [entry.stages[0]]
    for stage in entry.stages[1:]:
        plain = without_keep(stage)
        name = display_name(plain)
        own = settled(plain, _facts(record, name), model_file(run, record, name))
        stages.append(_with_keep(own, keep_of(stage)))
    fields = {"name": trial.reranker, "stages": [stage.to_entry() for stage in stages]}
    pipeline = PipelineEntry.model_validate(fields)
    return suite.model_copy(
        update={
            "datasets": (group.dataset,),
            "first_stages": (),
            "rerankers": (),
            "pipelines": (pipeline,),
        }
    )


def model_file(run: Run, record: Record, stage: str | None = None) -> Path | None:
    """Return the file of a model that was trained on all judged queries, of a stage or of the only
    one; None where nothing was trained, or the run has the file no more.
    """
    for learned in record.learned:
        for name in learned.files:
            path = run.folder / MODELS / name
            is_its = stage in (None, learned.stage) or f"--{file_stem(stage or '')}." in name
            is_model = ".fold-" not in name and not name.endswith(PROVENANCE)
            if is_its and is_model and path.is_file():
                return path
    return None


def _record(run: Run, planned: Planned) -> Record:
    """Return the record of the same row, on any device: what it learned does not depend on that.
    Raises SuiteError where there is none.
    """
    trial = planned.trial
    for record in run.records.values():
        own = record.trial
        place = (own.dataset, own.first_stage, own.depth, own.reranker)
        if place == (trial.dataset, trial.first_stage, trial.depth, trial.reranker):
            return record
    names = [record.trial.reranker for record in run.records.values()]
    raise SuiteError(
        f"--learned {run.folder}: the run has no row '{trial.reranker}' over "
        f"{trial.dataset}, {trial.first_stage}, depth {trial.depth}: "
        f"{nearest(trial.reranker, names)}"
    )


def _refuse_other_options(run: Run, entry: PipelineEntry) -> None:
    """Raise SuiteError where the run's row has other stages or options than the suite's."""
    ours = [stage.to_entry() for stage in entry.stages[1:]]
    if ours not in list(_stages(run, entry.name)):
        raise SuiteError(
            f"--learned {run.folder}: its row '{entry.name}' has other options than the suite's: "
            "run the suite again, and give that run"
        )


def _stages(run: Run, name: str) -> Iterator[list[Any]]:
    """Yield the stages after the first of each row of this name, as entries."""
    named = named_stages(run.info.resolved, run.folder)
    for entry in named.pipelines:
        if entry.name == name:
            yield [stage.to_entry() for stage in entry.stages[1:]]
    for part in named.rerankers:
        if display_name(part) == name:
            stages = cascade_of(part).stages if is_cascade(part) else (part,)
            yield [stage.to_entry() for stage in stages]


def _refuse_other_data(run: Run, record: Record, dataset: Dataset) -> None:
    """Raise SuiteError where a run was of other documents, queries or judgments."""
    for name, value in dataset.identity.items():
        if name.endswith("_hash") and record.dataset.get(name, value) != value:
            raise SuiteError(
                f"--learned {run.folder}: it was run over other data ({name} differs): run the "
                "suite again, and give that run"
            )


def _entry(suite: Suite, group: Group, planned: Planned) -> PipelineEntry:
    """Return a row as a pipeline, its first stage among the stages."""
    trial = planned.trial
    options = first_stage_options(group.first_stage)
    options.pop("depth", None)
    first = Part(name=group.first_stage.name, options={**options, KEEP: trial.depth})
    if planned.pipeline is None:
        return PipelineEntry(name=trial.reranker, stages=(first, planned.part))
    for entry in suite.pipelines:
        if entry.name == trial.reranker:
            return entry
    cascades = [part for part in suite.rerankers if is_cascade(part)]
    (part,) = [part for part in cascades if display_name(part) == trial.reranker]
    return cascade_entry(part, first)


def _facts(record: Record, stage: str) -> Mapping[str, Any]:
    """Return what a record tells of a stage: of the row itself, where it is no pipeline."""
    facts: Mapping[str, Any] = record.description.get("facts", {})
    for own in facts.get("stages", ()):
        if own.get("name") == stage:
            return dict(own)
    return facts


def _with_keep(part: Part, keep: int | None) -> Part:
    if keep is None:
        return part
    return Part(name=part.name, options={**reranker_options(part), KEEP: keep})
