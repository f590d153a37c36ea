"""The losses of each kind of model: the rows that a loss reads, and the module of
sentence-transformers that computes it. A line per loss and kind.

Binary cross-entropy reads pairs (Nogueira and Cho 2019); ListNet (Cao et al., ICML 2007),
LambdaLoss (Wang et al., CIKM 2018) and RankNet (Burges et al., ICML 2005) read lists; margin MSE
(Hofstätter et al. 2020, arXiv:2010.02666) reads a positive and its negatives with the teacher's
margins; the contrastive loss (van den Oord et al. 2018, arXiv:1807.03748) takes the other documents
of a batch as negatives, too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import cycle, islice
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from bench.training.lists import TrainingData

Columns = dict[str, list[Any]]
"""What the library trains on: a value per row in each column, labels last."""
CPU_PAIRS = 16
"""Pairs per forward pass on a CPU, where padding costs as much as text."""
COSINE_SCALE = 20.0
"""What a cosine is multiplied by, so that its softmax may be sharp; sentence-transformers' own."""


class Rows(NamedTuple):
    """Rows to train on. `pairs` is the mean number of query-document pairs in a row."""

    columns: Columns
    pairs: float

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))


class Objective(NamedTuple):
    """A loss: its rows, and what computes it over a batch of them."""

    rows: Callable[[TrainingData], Rows]
    build: Callable[[Any, str], Any]
    """(model, device) -> a torch module."""
    repels: bool = False
    """Whether documents of other rows of the batch count as negatives."""


def pair_rows(data: TrainingData) -> Rows:
    """Return a row per document of each list."""
    columns: Columns = {"query": [], "document": [], "label": []}
    for row in data.train:
        columns["query"] += [row.query] * len(row.documents)
        columns["document"] += row.documents
        columns["label"] += map(float, row.labels)
    return Rows(columns, 1.0)


def list_rows(data: TrainingData) -> Rows:
    """Return a row per list."""
    columns: Columns = {"query": [], "docs": [], "labels": []}
    for row in data.train:
        columns["query"].append(row.query)
        columns["docs"].append(list(row.documents))
        columns["labels"].append([float(label) for label in row.labels])
    return Rows(columns, _mean([len(docs) for docs in columns["docs"]]))


def margin_rows(data: TrainingData) -> Rows:
    """Return a row per positive with its list's negatives and the margins to them."""
    rows = _contrasts(data, with_margins=True)
    return Rows(rows, float(_width(rows)))


def contrast_rows(data: TrainingData) -> Rows:
    """Return a row per positive with its list's negatives."""
    rows = _contrasts(data, with_margins=False)
    return Rows(rows, float(_width(rows)))


def _contrasts(data: TrainingData, *, with_margins: bool) -> Columns:
    """Return a row per positive. All rows have the same number of negatives: those of a shorter
    list are repeated, and a list without any is left out where others have some.
    """
    counts = [len(row.documents) - data.positives[row.query_id] for row in data.train]
    width = max(counts, default=0)
    names = [f"negative_{number}" for number in range(1, width + 1)]
    columns: Columns = {"query": [], "positive": [], **{name: [] for name in names}}
    if with_margins:
        columns["label"] = []
    for row, count in zip(data.train, counts, strict=True):
        if width and not count:
            continue
        positives = len(row.documents) - count
        places = list(islice(cycle(range(positives, len(row.documents))), width))
        for positive in range(positives):
            columns["query"].append(row.query)
            columns["positive"].append(row.documents[positive])
            for name, place in zip(names, places, strict=True):
                columns[name].append(row.documents[place])
            if with_margins:
                best = row.labels[positive]
                columns["label"].append([float(best - row.labels[place]) for place in places])
    return columns


def _width(columns: Columns) -> int:
    """Return the documents of a row."""
    return sum(name not in ("query", "label") for name in columns)


def _mean(counts: Sequence[int]) -> float:
    return sum(counts) / len(counts) if counts else 1.0


def _per_pass(device: str) -> int:
    """Return the pairs of a forward pass; -1 for a whole batch."""
    return CPU_PAIRS if device == "cpu" else -1


def _binary_cross_entropy(model: Any, device: str) -> Any:
    from sentence_transformers.cross_encoder.losses import BinaryCrossEntropyLoss

    return BinaryCrossEntropyLoss(model)


def _listnet(model: Any, device: str) -> Any:
    """Soft-maxes the labels too: of grades 0 and 1 the target is flat, and so does the loss look,
    whose least value is the entropy of the targets.
    """
    from sentence_transformers.cross_encoder.losses import ListNetLoss

    return ListNetLoss(model, mini_batch_size=_per_pass(device))


def _lambdaloss(model: Any, device: str) -> Any:
    from sentence_transformers.cross_encoder.losses import LambdaLoss

    return LambdaLoss(model, mini_batch_size=_per_pass(device))


def _ranknet(model: Any, device: str) -> Any:
    from sentence_transformers.cross_encoder.losses import RankNetLoss

    return RankNetLoss(model, mini_batch_size=_per_pass(device))


def _cross_margin_mse(model: Any, device: str) -> Any:
    from sentence_transformers.cross_encoder.losses import MarginMSELoss

    return MarginMSELoss(model)


def _contrastive(model: Any, device: str) -> Any:
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

    return MultipleNegativesRankingLoss(model, scale=COSINE_SCALE)


def _bi_margin_mse(model: Any, device: str) -> Any:
    """Scales cosines, whose margins are small next to those of a teacher's logits."""
    from sentence_transformers.sentence_transformer.losses import MarginMSELoss
    from sentence_transformers.util import pairwise_cos_sim

    def similarity(queries: Any, documents: Any) -> Any:
        return COSINE_SCALE * pairwise_cos_sim(queries, documents)

    return MarginMSELoss(model, similarity_fct=similarity)


def _late_contrastive(model: Any, device: str) -> Any:
    from sentence_transformers.multi_vector_encoder.losses import (
        MultiVectorMultipleNegativesRankingLoss,
    )

    return MultiVectorMultipleNegativesRankingLoss(model)


def _late_margin_mse(model: Any, device: str) -> Any:
    from sentence_transformers.multi_vector_encoder.losses import MultiVectorMarginMSELoss

    return MultiVectorMarginMSELoss(model)


CROSS_ENCODER: Mapping[str, Objective] = {
    "binary-cross-entropy": Objective(pair_rows, _binary_cross_entropy),
    "listnet": Objective(list_rows, _listnet),
    "lambdaloss": Objective(list_rows, _lambdaloss),
    "ranknet": Objective(list_rows, _ranknet),
    "margin-mse": Objective(margin_rows, _cross_margin_mse),
}
BI_ENCODER: Mapping[str, Objective] = {
    "contrastive": Objective(contrast_rows, _contrastive, repels=True),
    "margin-mse": Objective(margin_rows, _bi_margin_mse),
}
LATE_INTERACTION: Mapping[str, Objective] = {
    "contrastive": Objective(contrast_rows, _late_contrastive, repels=True),
    "margin-mse": Objective(margin_rows, _late_margin_mse),
}
