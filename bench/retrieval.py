"""What a group's rerankers are asked: its dataset loaded, its candidates retrieved, a request for each judged query that has some."""

from __future__ import annotations

from dataclasses import dataclass

from bench import datasets, first_stage
from bench.assess import Questions
from bench.datasets.base import Dataset
from bench.errors import BenchError
from bench.first_stage.base import Candidates
from bench.measure import quality
from bench.planning import Group
from bench.progress import Observer
from bench.scoring.requests import Requests
from bench.suite import Suite


@dataclass(frozen=True)
class Retrieved:
    """One group's dataset, candidates and questions, and what a reader should know about the first two."""

    dataset: Dataset
    candidates: Candidates
    questions: Questions

    @property
    def warnings(self) -> tuple[str, ...]:
        return (*self.dataset.warnings, *self.candidates.warnings)


def retrieve(suite: Suite, group: Group, observer: Observer) -> Retrieved:
    """Load and retrieve; the observer is told the warnings. Raises BenchError when no query has a judgment."""
    trial = group.planned[0].trial
    with observer.task(f"loading {trial.dataset}", 1, "dataset"):
        dataset = datasets.load(group.dataset.name, group.dataset.options, suite.base_dir, suite.seed)
    judged = [query_id for query_id in dataset.queries if query_id in dataset.qrels]
    if not judged:
        raise BenchError(f"{dataset.id}: none of its {len(dataset.queries)} queries has a judgment: nothing to measure")
    with observer.task(f"retrieving with {trial.first_stage}", len(judged), "queries"):
        stage = first_stage.build(group.first_stage.name, group.first_stage.options, suite.base_dir)
        candidates = stage.retrieve(dataset, judged, trial.depth)
    questions = Questions(dataset, judged, Requests(dataset, candidates, judged), (*suite.measures, quality.JUDGED))
    retrieved = Retrieved(dataset, candidates, questions)
    for text in retrieved.warnings:
        observer.note(text)
    return retrieved
