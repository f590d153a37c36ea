"""What computes a model's logits: torch, ONNX Runtime or OpenVINO. One small class each, the same three steps.

A new runtime is a file in this folder, a line in each table, and the value of an option.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Protocol

from bench.errors import Unavailable
from bench.plugins import resolve

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from bench.rerankers.pairs import Batch

TABLE = {
    "torch": "bench.rerankers.runtimes.torch:TorchRuntime",
    "onnx": "bench.rerankers.runtimes.onnx:OnnxRuntime",
    "openvino": "bench.rerankers.runtimes.openvino:OpenVinoRuntime",
}
PACKAGES = {"torch": (), "onnx": ("onnx", "onnxscript", "onnxruntime"), "openvino": ("onnx", "onnxscript", "onnxruntime", "openvino")}
DTYPES = {
    "torch": ("float32", "bfloat16", "float16"),
    "onnx": ("float32", "int8"),
    "openvino": ("float32", "bfloat16"),
}
"""The number formats that each can be asked for."""


class Runtime(Protocol):
    """`place`, `logits` and `fetch` are a batch's way to the device, through the model, and of all batches' scores back in one go."""

    def place(self, batch: Batch) -> Any:
        """The model's inputs where it computes: input_ids, attention_mask and, where the model has them, token_type_ids."""

    def logits(self, placed: Any) -> Any:
        """One raw logit per row. On an accelerator it may still be at work when this returns."""

    def fetch(self, logits: Sequence[Any]) -> NDArray[np.float64]:
        """The logits of all batches, end to end, on the host. Waits for the device once."""

    def identity(self) -> dict[str, Any]:
        """What decides scores, read back from what loaded: the runtime, the number format that really ran, library versions."""

    def facts(self) -> dict[str, Any]:
        """What else a record should say: threads, and `warnings` for the reader."""


def check(runtime: str) -> None:
    """Raise Unavailable when a runtime's packages are not installed."""
    missing = [package for package in PACKAGES[runtime] if find_spec(package) is None]
    if missing:
        raise Unavailable(f"{missing[0]} not installed", f"pip install 'rerank-bench[{runtime}]'")


def build(runtime: str, *arguments: Any) -> Runtime:
    """The runtime of that name. Raises Unavailable when its packages are not installed, RerankerError when it cannot run the model."""
    check(runtime)
    built: Runtime = resolve(runtime, TABLE, "runtime")(*arguments)
    return built
