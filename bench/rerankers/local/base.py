"""What every reranker with weights of its own has in common: where they come from, what must be
here, and letting go of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from bench.contract.meter import Meter
from bench.contract.request import CandidateList, Usage
from bench.contract.requirement import Requirement
from bench.core.errors import RerankerError
from bench.datasets.leaks import refuse_measured
from bench.models import headers, seen_queries, sentence_transformer
from bench.models.batches import LIBRARY_PAIRS, Limit
from bench.models.clip import Clip
from bench.models.weights import Weights
from bench.rerankers.base import BaseReranker
from bench.rerankers.options import ModelOptions

if TYPE_CHECKING:
    from bench.contract.request import Outcome
    from bench.datasets.base import Dataset


class ModelFiles(NamedTuple):
    """What a model's folder holds: its configuration, where it has one, and the shapes of its
    tensors.
    """

    folder: Path
    config: headers.Config | None
    shapes: headers.Shapes

    @classmethod
    def read(cls, spec: str, folder: Path) -> ModelFiles:
        """Raises RerankerError for files that cannot be used."""
        return cls(folder, headers.config(spec, folder), headers.tensors(spec, folder))


class LocalReranker(BaseReranker):
    """Holds `weights`, the `limit` of a forward pass and, once `load()` has set them, `_model` and
    `_clip`, which cuts long texts.
    """

    options: ModelOptions
    weights: Weights

    def __init__(self, options: ModelOptions, device: str = "cpu") -> None:
        super().__init__(options, device)
        self.longest_input = options.max_length
        self.weights = Weights(options.model, options.revision)
        self.limit = Limit(pairs=options.batch_size or LIBRARY_PAIRS)
        self._model: Any = None
        self._dataset: Dataset | None = None
        self._clip = Clip(None, None)

    def score_lists(self, requests: Sequence[CandidateList], meter: Meter) -> list[Outcome]:
        try:
            return super().score_lists(requests, meter)
        finally:
            meter.count(Usage(halvings=self.limit.take_halvings()))

    def requirements(self) -> Sequence[Requirement]:
        return sentence_transformer.requirements(self.options, self.weights, self.device)

    @property
    def adapter(self) -> str | None:
        """The adapter that is added to its weights."""
        return None

    def over(self, dataset: Dataset) -> None:
        self._dataset = dataset

    def check_over(self, dataset: Dataset) -> None:
        """Raise DataError where a recipe has trained the model on what is measured."""
        for seen in seen_queries.seen_by(self.weights, self.adapter):
            refuse_measured(seen, dataset)

    @contextmanager
    def prepared(self, requests: Sequence[CandidateList]) -> Iterator[None]:
        if self._dataset is not None:
            self.check_over(self._dataset)
        yield

    def check(self) -> None:
        super().check()
        folder = self.weights.unnamed_folder()
        if folder is not None:
            self._check_files(ModelFiles.read(self.options.model, folder))

    def _check_files(self, files: ModelFiles) -> None:
        """Raise RerankerError for what a folder's files show before they are loaded."""
        options = self.options
        if files.config is not None and not options.trust_remote_code:
            headers.refuse_unknown_kind(options.model, files.config)
        positions = headers.positions(files.config or {}, files.shapes)
        headers.refuse_longer(options.model, options.max_length, positions)

    def close(self) -> None:
        self._model = None
        sentence_transformer.free(self.device)

    def _loaded(self) -> Any:
        if self._model is None:
            raise self._not_loaded()
        return self._model

    def _not_loaded(self) -> RerankerError:
        return RerankerError(f"{self.options.model}: load() comes before describe() and rerank()")
