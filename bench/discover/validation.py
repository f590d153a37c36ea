"""What would fail, before anything runs: data opened and counted, ids compared, first stages and
rows looked at.

Scores nothing, sends nothing, downloads nothing; of a large documents file only the first rows are
read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import groupby
from pathlib import Path

from bench import datasets, retrieval
from bench.contract.candidates import Candidates
from bench.core.counting import counted
from bench.core.errors import BenchError, Unavailable
from bench.core.note import read_notes
from bench.core.outsiders import outsiders_code
from bench.core.wording import sentences
from bench.datasets.base import Dataset
from bench.datasets.checks import can_look_up, has_document
from bench.datasets.reading import NotDownloaded
from bench.runner.retrieve import check_texts
from bench.scoring import executors
from bench.suite.naming import display_name
from bench.suite.planning import Group, Planned, plan
from bench.suite.suite import Suite

GRADES = 8
"""Distinct grades up to which each is counted."""


@dataclass
class StageCheck:
    """A first stage over one dataset: what is known of its candidates, and why it cannot be used,
    if so.
    """

    name: str
    facts: str = ""
    notes: Sequence[str] = ()
    problem: str = ""
    candidates: Candidates | None = None


@dataclass
class DatasetCheck:
    """One dataset: its counts, what a reader should know, its first stages, and why it cannot be
    used, if so.
    """

    name: str
    id: str
    facts: Mapping[str, str] = field(default_factory=dict)
    notes: Sequence[str] = ()
    stages: list[StageCheck] = field(default_factory=list)
    problem: str = ""
    download: bool = False


class Outcome(StrEnum):
    """What becomes of a trial."""

    RUNS = "runs"
    SKIPPED = "skipped"
    FAILED = "failed"


@dataclass(frozen=True)
class RowCheck:
    """One trial: whether it runs, is skipped or fails, and why."""

    trial: str
    outcome: Outcome
    reason: str = ""


@dataclass
class Validation:
    """All of a suite."""

    datasets: list[DatasetCheck] = field(default_factory=list)
    executor: str = ""
    """Where scores would be computed, and why they cannot be, if so."""
    executor_problem: str = ""
    rows: list[RowCheck] = field(default_factory=list)

    def count(self, outcome: Outcome) -> int:
        """Return how many trials have this outcome."""
        return sum(row.outcome is outcome for row in self.rows)

    def reasons_in_common(self) -> list[str]:
        """Return the reasons for which several trials do not run, in the order of the rows."""
        rows = [row for row in self.rows if row.outcome is not Outcome.RUNS]
        counts = Counter(row.reason for row in rows if row.reason)
        return [reason for reason, count in counts.items() if count > 1]


def validate(suite: Suite) -> Validation:
    """Return a check of every dataset, first stage and row of a suite. What cannot be used is
    reported, and the rest is looked at all the same.
    """
    executor = executors.build(suite.executor.name, suite.executor.options)
    validation = Validation(executor=f"{executor.name}, {executor.meaning}".removesuffix(", "))
    try:
        executor.check()
    except Unavailable as error:
        validation.executor_problem = str(error)
    groups = plan(suite, lenient=True)
    # groups of one dataset are neighbours: one dataset is in memory at a time
    for part, members in groupby(groups, key=lambda group: group.dataset):
        check = DatasetCheck(display_name(part), part.name)
        validation.datasets.append(check)
        dataset = _opened(suite, part.name, part.options, check)
        for group in members:
            stage = _stage(suite, group, dataset, check)
            validation.rows += (_row(planned, check, stage, dataset) for planned in group.planned)
    return validation


def _opened(suite: Suite, name: str, options: object, check: DatasetCheck) -> Dataset | None:
    """Return the dataset; None where it cannot be used, or not before it is downloaded."""
    try:
        dataset = datasets.load(name, options, suite.base_dir, suite.seed, check=True)  # type: ignore[arg-type]
    except NotDownloaded:
        check.download = True
        return None
    except BenchError as error:
        check.problem = str(error)
        return None
    check.facts = dict(_facts(dataset))
    check.notes = sentences(dataset.warnings)
    return dataset


def _facts(dataset: Dataset) -> Iterator[tuple[str, str]]:
    documents = f"{len(dataset.documents):,}"
    if dataset.documents_read is not None:
        documents += (
            f" lines, of which the first {dataset.documents_read:,} were read: judged "
            "documents were not looked up"
        )
    if not dataset.has_texts:
        documents = "none: ids only"
    yield "documents", documents
    yield "queries", f"{len(dataset.queries):,}, of which {_judged(dataset):,} judged"
    if dataset.is_unjudged:
        yield "judgments", "none: nothing is measured"
        return
    counts: Counter[int] = Counter()
    for grades in dataset.qrels.values():
        counts.update(grades.values())
    distribution = ", ".join(f"{grade}: {count:,}" for grade, count in sorted(counts.items()))
    if len(counts) > GRADES:
        distribution = f"{min(counts)} to {max(counts)}"
    yield "judgments", f"{sum(counts.values()):,} (grade {distribution})"
    if dataset.judge is not None:
        judge = dataset.judge
        yield "judge", f"{judge['judged']:,} of {judge['judgments']:,} by a model, {judge['model']}"
    relevant = sum(count for grade, count in counts.items() if grade >= dataset.min_relevance)
    yield (
        "relevant",
        f"{relevant / len(dataset.qrels):.1f} per query (grade {dataset.min_relevance} or above)",
    )


def _judged(dataset: Dataset) -> int:
    return sum(bool(grades) for grades in dataset.qrels.values())


def _stage(suite: Suite, group: Group, dataset: Dataset | None, check: DatasetCheck) -> StageCheck:
    stage = StageCheck(display_name(group.first_stage))
    check.stages.append(stage)
    depth = group.planned[0].trial.depth
    try:
        part = group.first_stage
        built = retrieval.build(part.name, part.options, suite.base_dir, group.device)
        if dataset is not None:
            check_texts(dataset, group, built)
            built.check_over(dataset)
        candidates = built.check(dataset, depth)
        if candidates is not None:
            stage.facts = _extent(candidates)
            stage.notes = sentences(read_notes(candidates.warnings))
            stage.candidates = candidates
    except BenchError as error:
        stage.problem = str(error)
    return stage


def _extent(candidates: Candidates) -> str:
    sizes = [len(entry.doc_ids) for entry in candidates.by_query.values()]
    with_some = sum(size > 0 for size in sizes)
    return (
        f"{counted(sum(sizes), 'candidate')} for {with_some:,} of "
        f"{counted(len(sizes), 'judged query')}"
    )


def _row(
    planned: Planned, check: DatasetCheck, stage: StageCheck, dataset: Dataset | None
) -> RowCheck:
    trial = planned.trial.id
    status = planned.status
    if status.status in ("skipped", "failed"):
        return RowCheck(trial, Outcome(status.status), status.reason or "")
    if check.problem:
        return RowCheck(trial, Outcome.FAILED, f"dataset {check.name} cannot be used")
    if stage.problem:
        return RowCheck(trial, Outcome.FAILED, f"first stage {stage.name} cannot be used")
    reason = ""
    if check.download:
        reason = "once the dataset is downloaded"
    elif dataset is not None:
        try:
            with outsiders_code():
                planned.reranker.check_over(dataset)
        except NotDownloaded:
            reason = "once its training data is downloaded"
        except BenchError as error:
            return RowCheck(trial, _unusable(planned), str(error))
    run_file = planned.reranker.run_file
    if run_file is not None:
        return _run_file(planned, run_file, dataset, stage.candidates, reason)
    return RowCheck(trial, Outcome.RUNS, reason)


def _unusable(planned: Planned) -> Outcome:
    """Return what becomes of a trial whose reranker cannot be used."""
    if planned.optional:
        return Outcome.SKIPPED
    return Outcome.FAILED


def _run_file(
    planned: Planned,
    path: Path,
    dataset: Dataset | None,
    candidates: Candidates | None,
    reason: str,
) -> RowCheck:
    """Return the check of a published run: whether it has the queries, and of any of them a
    document that can be a candidate.
    """
    from bench.ranking.trec import read_run

    trial = planned.trial.id
    failed = _unusable(planned)
    try:
        run = read_run(path)
    except BenchError as error:
        return RowCheck(trial, failed, str(error))
    if dataset is None:
        return RowCheck(trial, Outcome.RUNS, reason)
    answered = [query_id for query_id in dataset.qrels if query_id in run]
    extent = f"{path.name} has {len(answered):,} of {counted(len(dataset.qrels), 'judged query')}"
    if not answered:
        return RowCheck(trial, failed, extent)
    if not any(
        _has_candidate(query_id, run[query_id].doc_ids, dataset, candidates)
        for query_id in answered
    ):
        problem = "none of whose documents is a candidate"
        if candidates is None:
            problem = f"none of whose documents {dataset.id} has"
        return RowCheck(trial, failed, f"{extent}, {problem}; is it of another collection?")
    return RowCheck(trial, Outcome.RUNS, extent)


def _has_candidate(
    query_id: str, doc_ids: Sequence[str], dataset: Dataset, candidates: Candidates | None
) -> bool:
    """Return whether a document is among the query's candidates, or, where these are not known, in
    the collection, as far as it is read.
    """
    if candidates is not None:
        return not set(candidates.by_query[query_id].doc_ids).isdisjoint(doc_ids)
    is_known = dataset.has_texts and can_look_up(dataset)
    return not is_known or any(has_document(dataset, doc_id) for doc_id in doc_ids)
