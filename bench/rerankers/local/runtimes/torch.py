"""The runtime that every model has: the network as sentence-transformers loaded it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bench.models import packing
from bench.models.batches import on_host
from bench.models.quiet import quiet
from bench.models.sentence_transformer import number_formats
from bench.rerankers.local.runtimes import Setup

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from bench.rerankers.local.pairs import Batch


class TorchRuntime:
    """Runs a CrossEncoder's modules on its device: a classifier, or an encoder with pooling and a
    head of their own.
    """

    packages: tuple[str, ...] = ()
    group: int | None = None

    def __init__(self, setup: Setup) -> None:
        self._model, self._compiled = setup.model, setup.compile
        if setup.compile:
            with quiet():
                self._model.compile(dynamic=True)
                self._compile_now(setup.example)

    def place(self, batch: Batch) -> Any:
        return packing.placed(batch, str(self._model.device))

    def logits(self, placed: Any) -> Any:
        import torch

        with torch.inference_mode():
            return packing.through(self._model, placed)["scores"].reshape(-1).float()

    def fetch(self, logits: Sequence[Any]) -> NDArray[np.float64]:
        return on_host(logits)

    def formats(self) -> Sequence[str]:
        return number_formats(self._model)

    def facts(self) -> dict[str, object]:
        return {"compiled": self._compiled}

    def _compile_now(self, example: Batch) -> None:
        """Run every kind of batch once, so that nothing is compiled in the middle of a run: with
        padding and without, of one row and of several.
        """
        for rows in (slice(None), slice(0, 1), slice(-1, None), [-1, -1, -1]):
            self.logits(self.place({name: array[rows] for name, array in example.items()}))
