"""The kinds of models that are trained: the classes of sentence-transformers that do it, the losses
of each, and how a model of the kind scores documents. A line per kind.

Source: https://sbert.net/docs/cross_encoder/training_overview.html and its siblings for the other
two.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from bench.training import losses
from bench.training.losses import Objective

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from bench.training.lists import TrainingList

    Scores = NDArray[np.float64]


class Scorer(Protocol):
    """Returns the scores of a list's documents."""

    def __call__(self, model: Any, training_list: TrainingList, batch: int) -> Scores: ...


class Kind(NamedTuple):
    """A kind of model. `model`, `trainer` and `arguments` are names of sentence-transformers;
    `backend` is the reranker that scores with such a model.
    """

    model: str
    trainer: str
    arguments: str
    backend: str
    score: Scorer
    objectives: Mapping[str, Objective]


def pair_scores(model: Any, training_list: TrainingList, batch: int) -> Scores:
    """Return raw logits of a cross-encoder."""
    import numpy as np
    import torch

    pairs = [(training_list.query, document) for document in training_list.documents]
    scores = model.predict(
        pairs, batch_size=batch, activation_fn=torch.nn.Identity(), show_progress_bar=False
    )
    return np.asarray(scores, dtype=np.float64).reshape(-1)


def encoder_scores(model: Any, training_list: TrainingList, batch: int) -> Scores:
    """Return the similarities of embeddings of query and documents: the model's own kind, such as
    the cosine, or MaxSim.
    """
    import numpy as np

    settings: dict[str, Any] = {"batch_size": batch, "show_progress_bar": False}
    query = model.encode_query([training_list.query], **settings)
    documents = model.encode_document(list(training_list.documents), **settings)
    similarities = model.similarity(query, documents)
    return np.asarray(similarities.float().cpu().numpy(), dtype=np.float64).reshape(-1)


KINDS: Mapping[str, Kind] = {
    "cross-encoder": Kind(
        "CrossEncoder",
        "CrossEncoderTrainer",
        "CrossEncoderTrainingArguments",
        "cross-encoder",
        pair_scores,
        losses.CROSS_ENCODER,
    ),
    "bi-encoder": Kind(
        "SentenceTransformer",
        "SentenceTransformerTrainer",
        "SentenceTransformerTrainingArguments",
        "bi-encoder",
        encoder_scores,
        losses.BI_ENCODER,
    ),
    "late-interaction": Kind(
        "MultiVectorEncoder",
        "MultiVectorEncoderTrainer",
        "MultiVectorEncoderTrainingArguments",
        "late-interaction",
        encoder_scores,
        losses.LATE_INTERACTION,
    ),
}
