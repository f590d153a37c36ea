"""Training of a learned stage: cross-fitted on the queries that it is measured on, or fitted on
those of another dataset.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from bench.contract.learned import FusionOrders
from bench.datasets.base import Qrels
from bench.datasets.folds import folds, same_text
from bench.learning import fusions
from bench.learning.gain import Graded, graded
from bench.learning.matrix import Example
from bench.learning.models.base import Lesson, Model, Trainer
from bench.ranking.tuning import FusionWeights


@dataclass(frozen=True)
class Trained:
    """Models and what is known of them. `of_fold` are those of the cross-fitting, empty where
    there was none: a query is scored by the model of its fold, any other by `final`, which was
    fitted on all queries.
    """

    features: tuple[str, ...]
    final: Model
    queries: int
    documents: int
    weights: FusionWeights
    """The tuned weights of the fusion."""
    of_fold: Sequence[Model] = ()
    folds: Mapping[str, int] = field(default_factory=dict)
    """Query text -> its fold: texts as `same_text` has them."""

    def model_of(self, query: str) -> Model:
        """Return the model that scores a query: never one that was fitted on it."""
        fold = self.folds.get(same_text(query))
        if fold is None or not self.of_fold:
            return self.final
        return self.of_fold[fold]


@dataclass(frozen=True)
class TrainingSet:
    """Queries with features and judgments, in a fixed order."""

    features: tuple[str, ...]
    examples: Sequence[Example]
    qrels: Qrels
    queries: Mapping[str, str]

    @property
    def judged(self) -> dict[str, Graded]:
        """The grades of each query's documents."""
        return {
            example.query_id: graded(example.doc_ids, self.qrels.get(example.query_id, {}))
            for example in self.examples
        }

    @property
    def lessons(self) -> list[Lesson]:
        """What a model is fitted on, one per query."""
        judged = self.judged
        return [
            Lesson(example.query_id, example.matrix, judged[example.query_id].grades)
            for example in self.examples
        ]

    @property
    def documents(self) -> int:
        """The documents of all queries."""
        return sum(len(example.doc_ids) for example in self.examples)


def cross_fitted(trainer: Trainer, data: TrainingSet, count: int, seed: int) -> Trained:
    """Return a model per fold, fitted on the queries of the others, and one of all queries."""
    data = _useful(trainer, data)
    fold_of = _folds(data, count, seed)
    lessons = data.lessons
    models: list[Model] = []
    for fold in range(count):
        others = [row for row in lessons if fold_of[row.query_id] != fold]
        models.append(trainer.fitted(data.features, others))
    weights = fusions.weights_of(data.examples, data.qrels, fold_of, count)
    return Trained(
        data.features,
        trainer.fitted(data.features, lessons),
        len(data.examples),
        data.documents,
        weights,
        models,
        _by_text(data, fold_of),
    )


def fitted(trainer: Trainer, data: TrainingSet) -> Trained:
    """Return a model of all queries of another dataset."""
    data = _useful(trainer, data)
    return Trained(
        data.features,
        trainer.fitted(data.features, data.lessons),
        len(data.examples),
        data.documents,
        fusions.weights_of(data.examples, data.qrels, {}, 1),
    )


def ready(model: Model, data: TrainingSet, count: int, seed: int) -> Trained:
    """Return a model that is not trained here; the weights of the fusion next to it are tuned on
    the measured queries, cross-fitted.
    """
    fold_of = _folds(data, count, seed)
    weights = fusions.weights_of(data.examples, data.qrels, fold_of, count)
    return Trained(data.features, model, 0, 0, weights, (), _by_text(data, fold_of))


def compared(trained: Trained, examples: Sequence[Example]) -> list[FusionOrders]:
    """Return the fusions of the same stages over the queries that are measured."""
    return [fusions.untuned(examples), fusions.tuned(examples, trained.weights)]


def _useful(trainer: Trainer, data: TrainingSet) -> TrainingSet:
    """Return the queries with the features that say something to a model."""
    columns = trainer.useful([example.matrix for example in data.examples])
    examples = [replace(example, matrix=example.matrix[:, columns]) for example in data.examples]
    names = tuple(data.features[column] for column in columns)
    return replace(data, features=names, examples=examples)


def _by_text(data: TrainingSet, fold_of: Mapping[str, int]) -> dict[str, int]:
    """Return the fold of each query's text."""
    return {same_text(data.queries[query_id]): fold for query_id, fold in fold_of.items()}


def _folds(data: TrainingSet, count: int, seed: int) -> Mapping[str, int]:
    texts = {example.query_id: data.queries[example.query_id] for example in data.examples}
    return folds(texts, count, seed)
