"""What a group's rerankers are asked: its dataset loaded, its candidates retrieved, a request for
each judged query that has some.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bench import datasets, retrieval
from bench.contract.candidates import Candidates
from bench.contract.encoding import Encoder
from bench.core.counting import counted
from bench.core.errors import BenchError, DataError
from bench.core.note import Code, Note, note, read_notes
from bench.core.progress import Observer
from bench.core.wording import sentences
from bench.datasets.base import Dataset
from bench.quality import measures
from bench.quality.questions import Questions
from bench.retrieval.base import BaseFirstStage
from bench.retrieval.own_document import candidates_of
from bench.retrieval.requests import Requests
from bench.suite.planning import Group
from bench.suite.suite import Suite


@dataclass(frozen=True)
class Retrieved:
    """One group's dataset, candidates and questions, and what a reader should know about the first
    two.
    """

    dataset: Dataset
    candidates: Candidates
    questions: Questions
    warnings: tuple[Note, ...] = ()


def retrieve(
    suite: Suite, group: Group, observer: Observer, encoder: Encoder | None = None
) -> Retrieved:
    """Load and retrieve; the observer gets the warnings. The encoder takes the place of this
    process where a collection is encoded. Raises BenchError when no query has a
    judgment, or none a candidate.
    """
    trial = group.planned[0].trial
    with observer.task(f"loading {trial.dataset}", 1, "dataset"):
        dataset = datasets.load(
            group.dataset.name, group.dataset.options, suite.base_dir, suite.seed
        )
    judged = [query_id for query_id in dataset.queries if query_id in dataset.qrels]
    if not judged:
        raise BenchError(
            f"{dataset.id}: none of its {counted(len(dataset.queries), 'query')} has a judgment: "
            "nothing to measure"
        )
    for planned in group.planned:
        planned.reranker.over(dataset)
    part = group.first_stage
    stage = retrieval.build(part.name, part.options, suite.base_dir, group.device, observer)
    stage.encode_with(encoder)
    check_texts(dataset, group, stage)
    stage.check_over(dataset)
    try:
        stage.load(dataset)
        with observer.task(f"retrieving with {trial.first_stage}", len(judged), "queries"):
            candidates = candidates_of(stage, dataset, judged, trial.depth)
    finally:
        stage.close()
    if not any(candidates.lengths):
        raise DataError(
            f"{dataset.id}: none of the {len(judged)} judged queries has a candidate from "
            f"{trial.first_stage}"
        )
    names = (*suite.rank_measures, measures.JUDGED)
    questions = Questions(dataset, judged, Requests(dataset, candidates, judged), names)
    of_candidates = (
        *read_notes(candidates.warnings),
        *_cutoff_notes(suite, trial.depth),
        *_unexplained(candidates),
    )
    place = f"{trial.dataset}, {trial.first_stage}"
    warnings = (
        *(note.at(trial.dataset) for note in dataset.warnings),
        *(note.at(place) for note in of_candidates),
    )
    for text in sentences(warnings):
        observer.note(text)
    return Retrieved(dataset, candidates, questions, warnings)


def _cutoff_notes(suite: Suite, depth: int) -> Iterator[Note]:
    """Yield what to know of measures that look further down than there are candidates."""
    beyond = measures.cutoffs_beyond(suite.rank_measures, depth)
    if beyond:
        yield note(Code.SHALLOW, depth=depth, measures=", ".join(beyond))


def _unexplained(candidates: Candidates) -> Iterator[Note]:
    """Yield how many queries have no candidates, where the first stage says nothing: ours say why,
    an outsider's need not.
    """
    without = sum(not length for length in candidates.lengths)
    if without and not candidates.warnings:
        yield note(Code.NO_CANDIDATES, without)


def check_texts(dataset: Dataset, group: Group, stage: BaseFirstStage) -> None:
    """Raise DataError where a dataset without documents meets a row that reads their texts."""
    if dataset.has_texts:
        return
    reads = {f"first stage '{group.first_stage.name}'": stage.reads_texts}
    reads |= {planned.trial.reranker: planned.reranker.reads_texts for planned in group.planned}
    readers = [name for name, reads_texts in reads.items() if reads_texts]
    if readers:
        try:
            next(iter(dataset.documents))
        except DataError as error:
            raise DataError(f"{error}; {', '.join(readers)} cannot do without the texts") from error
