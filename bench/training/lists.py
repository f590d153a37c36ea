"""What a model is trained on: judged lists of documents, and what they were made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from bench.datasets.base import Qrels
from bench.datasets.leaks import Seen


class TrainingList(NamedTuple):
    """A query and some documents in a fixed order, positives first. `labels` are what the loss of
    the recipe learns: 0 and 1 for binary cross-entropy and contrastive, grades for list losses, a
    teacher's scores for margin-mse.
    """

    query_id: str
    query: str
    doc_ids: Sequence[str]
    documents: Sequence[str]
    labels: Sequence[float]


class DataFacts(NamedTuple):
    """Counts of the training data: of lists, of documents in them, and of what was left out."""

    queries: int = 0
    dev_queries: int = 0
    positives: int = 0
    hard: int = 0
    """Negatives of the pipeline, those judged as such among them."""
    judged: int = 0
    """Negatives that are judged not relevant."""
    easy: int = 0
    dropped_by_teacher: int = 0
    dropped_by_margin: int = 0
    without_positive: int = 0
    """Judged queries that were left out, since no document of the collection is relevant."""
    dropped_by_leak: int = 0
    """Training queries that were left out, since a measured query asks the same or shares their
    relevant documents.
    """
    dropped_of_dev: int = 0
    """Dev queries that were left out, since a test query asks the same."""
    failed: int = 0
    """Training queries that were left out, since the teacher did not answer."""
    shared_documents: int = 0
    """Documents that training lists and judgments of test queries have in common."""

    @property
    def pairs(self) -> int:
        """Documents of all training lists."""
        return self.positives + self.hard + self.easy


@dataclass(frozen=True)
class TrainingData:
    """Lists to train on; lists of dev queries, whose documents are the pipeline's candidates in
    their order, with grades as labels; the judgments of dev queries; and counts. `positives` are
    the first documents of each training list: query id -> their number. `portions` are the queries
    that the lists were made of.
    """

    train: Sequence[TrainingList]
    dev: Sequence[TrainingList]
    dev_qrels: Qrels
    positives: dict[str, int]
    facts: DataFacts
    portions: Seen = field(default_factory=Seen)

    @property
    def seen(self) -> Seen:
        """What a model that is trained on the lists has seen."""
        names = {row.query_id for row in self.train}
        train = [query for query in self.portions.train if query.name in names]
        return self.portions._replace(train=train)
