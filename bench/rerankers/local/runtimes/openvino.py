"""OpenVINO on a CPU, reading the same ONNX file.

It computes in bfloat16 of its own accord wherever the CPU has it, so that the format is always
asked for by name, and what really runs is read back from the compiled model.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from threading import local
from typing import TYPE_CHECKING, Any

from bench.core.errors import RerankerError
from bench.models.weights import versions
from bench.rerankers.local.runtimes import Setup
from bench.rerankers.local.runtimes.export import exported, kept

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from bench.rerankers.local.pairs import Batch

GROUP = 64
"""Activations that share a scale in int8: more are faster and less exact. On MiniLM-L6, 32, 64 and
128 take .98, 1.07 and 1.14 times the speed of bfloat16, at tau .970, .962 and .948 to float32.
"""
_HINTS = {"float32": "f32", "bfloat16": "bf16", "int8": "f32"}
_NAMES = {"f32": "float32", "bf16": "bfloat16", "f16": "float16", "i8": "int8", "u8": "int8"}
_PRODUCTS = {"FullyConnected", "MatMul"}


class OpenVinoRuntime:
    """One compiled model, with a request of its own for each thread that calls."""

    packages: tuple[str, ...] = ("openvino",)

    def __init__(self, setup: Setup) -> None:
        import openvino

        hint = _HINTS[setup.dtype]
        if setup.is_rounded:
            # each operation in the format that the graph has it in
            hint = _HINTS["float32"]
        settings = {
            "INFERENCE_PRECISION_HINT": hint,
            "INFERENCE_NUM_THREADS": setup.threads,
            "PERFORMANCE_HINT": "LATENCY",
            "DYNAMIC_QUANTIZATION_GROUP_SIZE": GROUP,
            "NUM_STREAMS": setup.workers,
        }
        path = exported(setup)
        self._dtype, self._is_rounded = setup.dtype, setup.is_rounded
        self.group: int | None = None
        if setup.dtype == "int8":
            self.group = GROUP
            path = _with_int8_weights(path)
        self._compiled = openvino.Core().compile_model(path, "CPU", settings)
        self._formats = self._read_formats()
        self._own = local()

    def place(self, batch: Batch) -> Batch:
        return batch

    def logits(self, placed: Batch) -> Any:
        request = getattr(self._own, "request", None)
        if request is None:
            request = self._own.request = self._compiled.create_infer_request()
        return request.infer(placed)["scores"].reshape(-1)

    def fetch(self, logits: Sequence[Any]) -> NDArray[np.float64]:
        import numpy as np

        return np.concatenate(logits).astype(np.float64)

    def formats(self) -> Sequence[str]:
        if self._is_rounded:
            return sorted({self._dtype, *self._formats})
        if self._dtype in self._formats:
            return (self._dtype,)
        return self._formats

    def facts(self) -> dict[str, object]:
        return {"provider": "CPU", "products_in": "+".join(self._formats)}

    def _read_formats(self) -> list[str]:
        """Return the number formats of the compiled matrix products."""
        formats = set()
        for operation in self._compiled.get_runtime_model().get_ops():
            about = operation.get_rt_info()
            if "layerType" in about and about["layerType"].astype(str) in _PRODUCTS:
                name = about["runtimePrecision"].astype(str).lower()
                formats.add(_NAMES.get(name, name))
        return sorted(formats)


def _with_int8_weights(path: Path) -> Path:
    """Return the same model with the weights of its matrix products in 8 bits, one scale per output
    ("weight-only", symmetric).

    OpenVINO multiplies them in 8 bits with activations that it rounds as they come, in groups.
    """
    return kept(
        {"of": path.parent.name, "weights": "int8 per output", **versions("onnx")},
        lambda target: _round_weights(path, target),
    )


def _round_weights(path: Path, target: Path) -> None:
    import numpy as np
    import onnx
    from onnx import helper, numpy_helper

    model = onnx.load(path)
    graph = model.graph
    weights = {tensor.name: tensor for tensor in graph.initializer}
    decoded = {}
    for node in graph.node:
        if node.op_type != "MatMul":
            continue
        name = node.input[1]
        if name not in weights or len(weights[name].dims) != 2:
            continue
        if name not in decoded:
            values = numpy_helper.to_array(weights[name])
            scale = (np.maximum(np.abs(values).max(axis=0), 1e-12) / 127).astype(np.float32)
            parts = {
                f"{name}.int8": np.rint(values / scale).astype(np.int8),
                f"{name}.scale": scale,
            }
            graph.initializer.extend(
                numpy_helper.from_array(array, part) for part, array in parts.items()
            )
            decoded[name] = helper.make_node(
                "DequantizeLinear", list(parts), [f"{name}.float32"], axis=1
            )
        node.input[1] = f"{name}.float32"
    if not decoded:
        raise RerankerError(
            "this architecture has no matrix products with constant weights: take dtype float32 "
            "or bfloat16"
        )
    nodes = [*decoded.values(), *graph.node]
    used = set(chain.from_iterable(node.input for node in nodes))
    tensors = [tensor for tensor in graph.initializer if tensor.name in used]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(nodes)
    graph.initializer.extend(tensors)
    onnx.save(model, target, save_as_external_data=True, location="model.onnx.data")
