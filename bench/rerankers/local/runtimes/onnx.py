"""ONNX Runtime, in float32 or with weights and activations of the matrix products in 8 bits."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.machine import cpu
from bench.models import sentence_transformer
from bench.models.weights import versions
from bench.rerankers.local.runtimes import Setup
from bench.rerankers.local.runtimes.export import exported, kept

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from bench.rerankers.local.pairs import Batch


class OnnxRuntime:
    """One session over the exported file."""

    packages: tuple[str, ...] = ("onnxruntime",)
    group: int | None = None

    def __init__(self, setup: Setup) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        # each thread that calls computes, too, and the session's own are shared by all of them
        options.intra_op_num_threads = max(1, setup.threads - setup.workers + 1)
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # threads that wait for the next call in a loop would slow down whatever is timed in between
        options.add_session_config_entry("session.force_spinning_stop", "1")
        providers = ["CPUExecutionProvider"]
        if setup.device.startswith("cuda"):
            providers.insert(0, "CUDAExecutionProvider")
        self._dtype = setup.dtype
        path = exported(setup)
        if setup.dtype == "int8":
            path = _quantised(path)
        self._session = onnxruntime.InferenceSession(path, options, providers=providers)

    def place(self, batch: Batch) -> Batch:
        return batch

    def logits(self, placed: Batch) -> Any:
        return self._session.run(["scores"], placed)[0].reshape(-1)

    def fetch(self, logits: Sequence[Any]) -> NDArray[np.float64]:
        import numpy as np

        return np.concatenate(logits).astype(np.float64)

    def formats(self) -> Sequence[str]:
        return (self._dtype,)

    def facts(self) -> dict[str, object]:
        return {"provider": self._session.get_providers()[0]}


def _quantised(path: Path) -> Path:
    """Return the same model with 8-bit weights, its activations rounded to 8 bits as they come
    ("dynamic quantisation").

    Where a CPU lacks instructions for 8-bit products, their 16-bit sums can overflow, and weights
    keep to 7 bits.
    """
    reduced = not set(sentence_transformer.INSTRUCTIONS["int8"]) & set(cpu.instructions() or ())

    def quantise(target: Path) -> None:
        from onnxruntime.quantization import QuantType, quantize_dynamic

        products = ["MatMul", "Gemm"]
        quantize_dynamic(
            path,
            target,
            op_types_to_quantize=products,
            per_channel=True,
            reduce_range=reduced,
            weight_type=QuantType.QInt8,
        )

    content = {
        "of": path.parent.name,
        "weights": "int8",
        "reduced": reduced,
        **versions("onnxruntime"),
    }
    return kept(content, quantise)
