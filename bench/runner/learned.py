"""From what a stage has learned to a run's record of it: its models as files, its features, and the
quality of the fusions of the same stages.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.contract.learned import FusionOrders, Learned
from bench.core.atomic import write_atomically
from bench.core.filenames import file_stem
from bench.pipelines.handing import Orders, standing
from bench.quality.assess import PerQuery, differences
from bench.quality.questions import Questions
from bench.records.learned import FusionRecord, ImportanceRecord, LearnedRecord
from bench.runner.orders import assessed
from bench.suite.planning import Planned

FOLDER = "models"


@dataclass(frozen=True)
class Lists:
    """The lists that a trained stage got: whole orders before it, and the names of what stands
    before it and of the first stage.
    """

    orders: Orders
    before: str
    first: str


def learned_record(
    stage: str,
    learned: Learned,
    lists: Lists,
    own: PerQuery,
    questions: Questions,
    seed: int,
) -> LearnedRecord:
    """Return the record of a trained stage. `own` are the per-query values of its order."""
    names = {"before": lists.before, "first": lists.first}
    fusions = [_fusion(row, lists.orders, own, questions, seed) for row in learned.fusions]
    rows = [
        ImportanceRecord(feature=row.feature, weight=row.weight, permutation=row.permutation)
        for row in learned.importances
    ]
    return LearnedRecord(
        stage=stage,
        model=learned.model,
        dataset=learned.dataset,
        folds=learned.folds,
        queries=learned.queries,
        documents=learned.documents,
        stages=[names.get(name, name) for name in learned.stages],
        importances=rows,
        fusions=fusions,
        files=[],
    )


def with_files(records: list[LearnedRecord], planned: Planned, folder: Path) -> list[LearnedRecord]:
    """Write the models of a trial's trained stages to the run's folder, and return the records with
    the names of the files.
    """
    complete: list[LearnedRecord] = []
    for record, (stage, learned) in zip(records, _learned_stages(planned), strict=True):
        stem = planned.trial.id
        if planned.pipeline is not None:
            stem = f"{stem}--{file_stem(stage)}"
        names: list[str] = []
        for ending, data in learned.files.items():
            names.append(f"{stem}{ending}")
            write_atomically(folder / FOLDER / names[-1], data)
        complete.append(record.model_copy(update={"files": names}))
    return complete


def _learned_stages(planned: Planned) -> Iterator[tuple[str, Learned]]:
    """Yield the trained stages of a trial by name, in order."""
    if planned.pipeline is None:
        stages = [(planned.trial.reranker, planned.reranker)]
    else:
        stages = [(step.name, step.reranker) for step in planned.pipeline.steps]
    for name, reranker in stages:
        if reranker.learned is not None:
            yield name, reranker.learned


def _fusion(
    fusion: FusionOrders, before: Orders, own: PerQuery, questions: Questions, seed: int
) -> FusionRecord:
    orders = {
        query_id: standing(before[query_id], order) for query_id, order in fusion.orders.items()
    }
    quality = assessed(orders, questions, seed)
    return FusionRecord(
        kind=fusion.kind,
        weights=[list(weights) for weights in fusion.weights],
        quality=dict(quality.estimates),
        difference=differences(own, quality.per_query, questions.query_ids, seed),
    )
