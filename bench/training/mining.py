"""The candidates of training queries: the order of a pipeline of this harness, with its scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from bench import retrieval
from bench.contract.candidates import QueryCandidates
from bench.core.errors import RerankerError
from bench.core.note import Note
from bench.core.progress import Observer
from bench.core.wording import worded
from bench.core.yaml_source import plain_yaml
from bench.datasets.base import Dataset
from bench.pipelines.pipeline import Pipeline
from bench.quality.questions import Questions
from bench.ranking.order import rank
from bench.retrieval.own_document import candidates_of
from bench.retrieval.requests import Requests
from bench.runner.stages import StagePass
from bench.scoring.engine import HERE
from bench.scoring.executors.base import Executor
from bench.scoring.known import ScoreCaches
from bench.suite import suite as suites
from bench.suite.planning import Group, Planned, plan
from bench.suite.suite import Suite
from bench.training.recipe import Recipe

NAME = "negatives"


def suite_of(recipe: Recipe, fields: Mapping[str, Any]) -> Suite:
    """Return a suite over the recipe's training data, whose relative paths are the recipe's."""
    own = {
        "name": recipe.name,
        "datasets": [part.to_entry() for part in recipe.data],
        "depth": recipe.depth,
        "seed": recipe.seed,
        **fields,
    }
    text = plain_yaml(own)
    return suites.parse(text, recipe.file, recipe.base_dir)


class Miner:
    """The pipeline of a recipe, built and checked. Raises BenchError where a stage of it cannot
    run here.
    """

    def __init__(
        self,
        recipe: Recipe,
        device: str | None,
        observer: Observer,
        executor: Executor = HERE,
    ) -> None:
        stages = [part.to_entry() for part in recipe.negatives.pipeline]
        self._suite = suite_of(recipe, {"pipelines": [{"name": NAME, "stages": stages}]})
        self._group = plan(self._suite, device)[0]
        self._planned = _pipeline_of(self._group)
        self._observer = observer
        self._executor = executor
        self._caches = ScoreCaches()

    def mined(self, dataset: Dataset, query_ids: Sequence[str]) -> dict[str, QueryCandidates]:
        """Return what the pipeline hands on of each query, best first. A query that failed in a
        stage has the candidates of its search.
        """
        part, depth = self._group.first_stage, self._planned.trial.depth
        stage = retrieval.build(
            part.name, part.options, self._suite.base_dir, self._group.device, self._observer
        )
        stage.encode_with(self._executor.encoder())
        try:
            stage.load(dataset)
            label = f"retrieving of {dataset.id} with {self._planned.trial.first_stage}"
            with self._observer.task(label, len(query_ids), "queries") as advance:
                candidates = candidates_of(stage, dataset, query_ids, depth)
                advance(len(query_ids))
        finally:
            stage.close()
        pipeline = self._planned.pipeline
        if pipeline is None or not pipeline.steps:
            return dict(candidates.by_query)
        # a model that was trained on the same queries may mine for the next one
        pipeline.over(replace(dataset, is_measured=False))
        pipeline.bind(dataset.qrels, candidates)
        requests = Requests(dataset, candidates, query_ids)
        questions = Questions(dataset, query_ids, requests, ("nDCG@10",))
        return {**candidates.by_query, **self._staged(pipeline, questions, depth)}

    def _staged(
        self, pipeline: Pipeline, questions: Questions, depth: int
    ) -> dict[str, QueryCandidates]:
        suite = self._suite
        stages = StagePass(
            questions, suite.seed, depth, suite.chunk_pairs, self._caches, self._executor
        )
        label = f"mining negatives of {questions.dataset.id}"
        try:
            with self._observer.task(label, stages.pairs(pipeline), "pairs") as advance:
                scored, _ = stages.run(pipeline, advance, self._note)
        finally:
            pipeline.close()
        keep = pipeline.steps[-1].keep
        orders: dict[str, QueryCandidates] = {}
        for request in questions.requests:
            scores = scored.scores.get(request.query_id)
            if scores is None:
                continue
            ranking = rank(request.doc_ids, scores)
            seen = scored.seen.get(request.query_id, len(ranking.doc_ids))
            last = min(seen, keep or seen)
            order = QueryCandidates(tuple(ranking.doc_ids), tuple(map(float, ranking.scores)))
            orders[request.query_id] = order.first(last)
        return orders

    def _note(self, name: str, note: Note) -> None:
        self._observer.note(worded(note.at(name)))


def _pipeline_of(group: Group) -> Planned:
    for planned in group.planned:
        if planned.pipeline is not None:
            if planned.status.status != "pending":
                raise RerankerError(f"{NAME}: {planned.status.reason}")
            return planned
    raise RerankerError(f"{NAME}: there is no pipeline")
