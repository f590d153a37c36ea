"""A learned stage at work over one collection: features of its lists, training or the model that
the cache holds, scores.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from bench import datasets, retrieval
from bench.contract.candidates import QueryCandidates
from bench.contract.learned import Learned, Origin
from bench.contract.meter import Span
from bench.contract.recipe import Recipe
from bench.contract.request import CandidateList
from bench.contract.stage import Reranker
from bench.core.digest import file_digest
from bench.core.errors import RerankerError
from bench.datasets.base import Dataset
from bench.learning import models, training
from bench.learning.checks import refuse_measured
from bench.learning.collection import Collection
from bench.learning.importance import importances
from bench.learning.matrix import Example, Features
from bench.learning.model_files import files_of, refuse_known
from bench.learning.options import LtrOptions
from bench.learning.stored import Stored, read_stored, stored_or_new
from bench.learning.training import Trained, TrainingSet
from bench.learning.training_key import QuerySet, anonymous_key, training_key
from bench.ranking.tuning import FusionWeights
from bench.retrieval.own_document import candidates_of
from bench.retrieval.requests import Requests

if TYPE_CHECKING:
    from bench.learning.values import Scores


@dataclass(frozen=True)
class Lessons:
    """What a stage has learned. `key` tells it from any other training, where it `is_known`."""

    key: str
    is_known: bool
    trained: Trained
    learned: Learned
    firsts: Mapping[str, QueryCandidates] | None = None


class Learner:
    """Trains and scores. `firsts` are the first stage's candidates where others came after it."""

    def __init__(
        self,
        dataset: Dataset,
        options: LtrOptions,
        origin: Origin,
        base_dir: Path,
        device: str,
        encoder: Reranker | None,
        firsts: Mapping[str, QueryCandidates] | None,
    ) -> None:
        self.dataset = dataset
        self.options = options
        self.origin = origin
        self.base_dir = base_dir
        self.device = device
        self._encoder = encoder
        self._collection = Collection(
            dataset, options, base_dir, origin.depth, device, encoder, firsts
        )
        self._features = Features(options)
        self._ready: dict[str, Example] = {}
        """Examples of the lists at hand, until they are scored: the timed pass finds none."""

    def load(self) -> None:
        self._collection.load()

    def close(self) -> None:
        self._collection.close()

    def forget(self) -> None:
        """Let go of features that were worked out for training."""
        self._ready.clear()

    def learned_from(self, requests: Sequence[CandidateList]) -> Lessons:
        """Return what is learned of these lists, from the cache where it is there. Raises DataError
        where queries to train on are also measured, RerankerError where there is nothing to learn.
        """
        self._collection.check_fields()
        if self.options.load is not None:
            refuse_known(Path(self.options.load), self.dataset)
        other = self._other()
        measured = QuerySet(self.dataset, requests)
        sets = [measured] if other is None else [measured, other]
        key = training_key(self.options, self._collection, sets, self.origin.depth)
        stored = stored_or_new(key, lambda: self._new(requests, other), self.options)
        examples = stored.examples
        fusions = training.compared(stored.trained, examples)
        trained = stored.trained
        is_crossed = self.options.train is None and self.options.load is None
        name = key or anonymous_key(measured)
        learned = Learned(
            key=name,
            model=trained.final.kind,
            dataset=None if other is None else other.dataset.id,
            folds=self.options.folds if is_crossed else None,
            queries=trained.queries,
            documents=trained.documents,
            importances=stored.importances,
            stages=list(examples[0].signals) if examples else [],
            fusions=fusions,
            files=files_of(trained, self._training_queries(requests, other), sets[-1].dataset.id),
        )
        return Lessons(name, key is not None, trained, learned, self._collection.firsts)

    def restored(self, key: str) -> Lessons | None:
        """Return what a run has learned, None where the cache does not have it any more. Nobody
        compares it with fusions here.
        """
        stored = read_stored(key, self.options)
        if stored is None:
            return None
        trained = stored.trained
        learned = Learned(
            key, trained.final.kind, None, None, trained.queries, trained.documents, (), ()
        )
        return Lessons(key, True, trained, learned, self._collection.firsts)

    def from_file(self, path: Path) -> Lessons:
        """Return the model of a file, to serve queries that nobody measures."""
        model = models.loaded(path, self.options)
        trained = Trained(model.features, model, 0, 0, FusionWeights(()))
        learned = Learned(file_digest(path), model.kind, None, None, 0, 0, (), ())
        return Lessons(learned.key, True, trained, learned, self._collection.firsts)

    def scores(
        self, requests: Sequence[CandidateList], trained: Trained, span: Span
    ) -> list[Scores]:
        """Return the scores of each list."""
        with span("features"):
            waiting = [request for request in requests if not self._is_ready(request)]
            worked_out = {
                example.query_id: example for example in self._examples(waiting, trained.features)
            }
            examples = [
                worked_out.get(request.query_id) or self._ready[request.query_id]
                for request in requests
            ]
        with span("model"):
            return [
                trained.model_of(request.query).scores(example.matrix)
                for request, example in zip(requests, examples, strict=True)
            ]

    def _is_ready(self, request: CandidateList) -> bool:
        example = self._ready.get(request.query_id)
        return example is not None and example.doc_ids == tuple(request.doc_ids)

    def _examples(
        self,
        requests: Sequence[CandidateList],
        names: Sequence[str] = (),
        collection: Collection | None = None,
    ) -> list[Example]:
        """Return features of these lists; those of a loaded model in its order."""
        examples: list[Example] = []
        if not requests:
            return examples
        views = (collection or self._collection).views(requests)
        for request, view in zip(requests, views, strict=True):
            matrix = self._features.matrix(view, names)
            examples.append(Example(request.query_id, view.doc_ids, matrix, dict(view.signals)))
        return examples

    def _new(self, requests: Sequence[CandidateList], other: QuerySet | None) -> Stored:
        """Train, and work out what features count."""
        options = self.options
        loaded = None
        names: Sequence[str] = ()
        if options.load is not None:
            loaded = models.loaded(Path(options.load), options)
            names = loaded.features
        examples = self._examples(list(requests), names)
        columns = tuple(names) or self._features.names
        data = TrainingSet(columns, examples, self.dataset.qrels, self.dataset.queries)
        trainer = models.trainer(options)
        if loaded is not None:
            trained = training.ready(loaded, data, options.folds, options.seed)
        elif other is None:
            trained = training.cross_fitted(trainer, data, options.folds, options.seed)
        else:
            trained = training.fitted(trainer, self._set_of(other))
        examples = [_reduced(example, columns, trained.features) for example in examples]
        self._ready = {example.query_id: example for example in examples}
        serving = {
            example.query_id: trained.model_of(self.dataset.queries[example.query_id])
            for example in examples
        }
        rows = importances(serving, examples, data.judged, trained.features, options.seed)
        return Stored(trained, rows, examples)

    def _set_of(self, other: QuerySet) -> TrainingSet:
        """Return the queries of another dataset with their features."""
        dataset = other.dataset
        collection = Collection(
            dataset, self.options, self.base_dir, self.origin.depth, self.device, self._encoder
        )
        try:
            examples = self._examples(list(other.requests), (), collection)
        finally:
            collection.close_stages()
        return TrainingSet(self._features.names, examples, dataset.qrels, dataset.queries)

    def _other(self) -> QuerySet | None:
        """Return the dataset to train on with its candidates; None where it is the measured one.
        Raises DataError where a query is in both.
        """
        first = self.origin.first
        if self.options.train is None or first is None:
            return None
        part = self.options.train
        dataset = datasets.load(part.name, part.options, self.base_dir, self.origin.seed)
        refuse_measured(dataset, self.dataset)
        return QuerySet(dataset, self._lists(dataset, first))

    def own_lists(self) -> Sequence[CandidateList]:
        """Return the first stage's candidates of the judged queries."""
        first = self.origin.first
        if first is None:
            raise RerankerError("ltr: its first stage is not known")
        return self._lists(self.dataset, first)

    def _lists(self, dataset: Dataset, first: Recipe) -> Sequence[CandidateList]:
        query_ids = list(dataset.judged_queries)
        stage = retrieval.build(first.name, first.options, Path(first.base_dir), first.device)
        try:
            candidates = candidates_of(stage, dataset, query_ids, self.origin.depth)
        finally:
            stage.close()
        return Requests(dataset, candidates, query_ids)

    def _training_queries(
        self, requests: Sequence[CandidateList], other: QuerySet | None
    ) -> list[str]:
        """Return the texts of the queries that were trained on."""
        if self.options.load is not None:
            return []
        return [request.query for request in (requests if other is None else other.requests)]


def _reduced(example: Example, names: Sequence[str], wanted: Sequence[str]) -> Example:
    """Return a query with some of its features."""
    places = {name: place for place, name in enumerate(names)}
    columns = [places[name] for name in wanted]
    return replace(example, matrix=example.matrix[:, columns])
