"""The runtime that every model has: the network as sentence-transformers loaded it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bench.rerankers.batches import on_host

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from bench.rerankers.pairs import Batch


class TorchRuntime:
    """Runs a CrossEncoder's modules on its device: a classifier, or an encoder with pooling and a head of their own."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._on_gpu = model.device.type == "cuda"

    def place(self, batch: Batch) -> Any:
        import torch

        tensors = {name: torch.from_numpy(array) for name, array in batch.items()}
        if self._on_gpu:  # from pinned memory, the copy and the work before it need not wait for each other
            tensors = {name: tensor.pin_memory() for name, tensor in tensors.items()}
        return {name: tensor.to(self._model.device, non_blocking=self._on_gpu) for name, tensor in tensors.items()}

    def logits(self, placed: Any) -> Any:
        import torch

        with torch.inference_mode():
            return self._model(placed)["scores"].reshape(-1).float()

    def fetch(self, logits: Sequence[Any]) -> NDArray[np.float64]:
        return on_host(logits)

    def identity(self) -> dict[str, Any]:
        return {"runtime": "torch"}

    def facts(self) -> dict[str, Any]:
        return {}
