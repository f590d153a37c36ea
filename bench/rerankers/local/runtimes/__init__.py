"""What computes a model's logits: torch, ONNX Runtime or OpenVINO. One small class each, the same
few steps.

A new runtime is a file in this folder, a line in each of the tables, and one in
`bench.rerankers.options.RUNTIMES`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from bench.contract.requirement import Package, Requirement
from bench.core.errors import Unavailable
from bench.core.plugins import resolve

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from bench.rerankers.local.pairs import Batch

TABLE = {
    "torch": "bench.rerankers.local.runtimes.torch:TorchRuntime",
    "onnx": "bench.rerankers.local.runtimes.onnx:OnnxRuntime",
    "openvino": "bench.rerankers.local.runtimes.openvino:OpenVinoRuntime",
}
_EXPORT = ("onnx", "onnxscript")
PACKAGES: dict[str, tuple[str, ...]] = {
    "torch": (),
    "onnx": (*_EXPORT, "onnxruntime"),
    "openvino": (*_EXPORT, "onnxruntime", "openvino"),
}
DEVICES = {"torch": ("cpu", "cuda", "mps"), "onnx": ("cpu", "cuda"), "openvino": ("cpu",)}


@dataclass(frozen=True)
class Setup:
    """What a runtime is built from: a loaded CrossEncoder, what decides its weights, one batch of
    its inputs, and settings.
    """

    model: Any
    source: Mapping[str, object]
    example: Batch
    dtype: str
    device: str
    threads: int
    """CPU threads of all workers together."""
    compile: bool = False
    is_rounded: bool = False
    """Whether the network itself computes its large products in bfloat16, and the rest in
    float32.
    """
    workers: int = 1
    """Batches that are computed at a time: `logits` is called by as many threads."""


class Runtime(Protocol):
    """`place`, `logits` and `fetch` are a batch's way to the device, through the model, and of all
    batches' scores back in one go.
    """

    def place(self, batch: Batch) -> Any:
        """Return the model's inputs where it computes: input_ids, attention_mask and, where the
        model has them, token_type_ids.
        """

    def logits(self, placed: Any) -> Any:
        """Return one raw logit per row. An accelerator may still be at work when this returns."""

    def fetch(self, logits: Sequence[Any]) -> NDArray[np.float64]:
        """Return the logits of all batches, end to end, on the host. Waits for the device once."""

    packages: tuple[str, ...]
    """The packages whose versions decide scores, next to torch's."""
    group: int | None
    """Activations that share a scale in 8 bits."""

    def formats(self) -> Sequence[str]:
        """Return the number formats that really run, read back from what loaded."""

    def facts(self) -> dict[str, object]:
        """Return what else a record should say."""


def requirements(runtime: str, device: str) -> list[Requirement]:
    """Return what a runtime needs: its packages, and a device that it runs on."""
    packages = [Package(package, runtime) for package in PACKAGES[runtime]]
    return [*packages, RuntimeDevice(runtime, device)]


@dataclass(frozen=True)
class RuntimeDevice(Requirement):
    """A device that a runtime runs on."""

    runtime: str
    device: str

    def require(self) -> None:
        kind = self.device.partition(":")[0]
        devices = DEVICES[self.runtime]
        if kind not in devices:
            raise Unavailable(
                f"{self.runtime} does not run on {self.device}",
                f"it runs on {' and '.join(devices)}",
            )
        if self.runtime == "onnx" and kind == "cuda":
            import onnxruntime

            if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
                raise Unavailable(
                    "onnxruntime is its CPU build", "pip install onnxruntime-gpu in its place"
                )


def packages(runtime: str) -> tuple[str, ...]:
    """Return the packages whose versions decide what a runtime computes, next to torch's."""
    return tuple(dict.fromkeys((*PACKAGES[runtime][:2], *PACKAGES[runtime][-1:])))


def build(runtime: str, setup: Setup) -> Runtime:
    """Return the runtime of that name over a loaded model. Raises RerankerError when it cannot run
    the model.
    """
    built: Runtime = resolve(runtime, TABLE, "runtime")(setup)
    return built
