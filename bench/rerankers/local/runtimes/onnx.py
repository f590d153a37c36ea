"""ONNX Runtime, in float32.

Not in 8 bits: activations rounded with one scale per tensor lose the order (Kendall's tau .86 to
float32 on MiniLM-L6), and in blocks (MatMulNBits, tau .96) it takes longer than torch in bfloat16.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bench.rerankers.local.runtimes import Setup
from bench.rerankers.local.runtimes.export import exported

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
        self._session = onnxruntime.InferenceSession(exported(setup), options, providers=providers)

    def place(self, batch: Batch) -> Batch:
        return batch

    def logits(self, placed: Batch) -> Any:
        return self._session.run(["scores"], placed)[0].reshape(-1)

    def fetch(self, logits: Sequence[Any]) -> NDArray[np.float64]:
        import numpy as np

        return np.concatenate(logits).astype(np.float64)

    def formats(self) -> Sequence[str]:
        return ("float32",)

    def facts(self) -> dict[str, object]:
        return {"provider": self._session.get_providers()[0]}
