"""The clock of every timing, and what must be waited for before it is read: work on an accelerator goes on after the call returns."""

from __future__ import annotations

import time
from collections.abc import Callable

now_ns = time.perf_counter_ns


def synchroniser(device: str) -> Callable[[], None]:
    """A function that returns when the device has finished all work it was given; does nothing for a CPU."""
    kind = device.partition(":")[0]
    if kind == "cuda":
        import torch

        return lambda: torch.cuda.synchronize(device)
    if kind == "mps":
        import torch

        return lambda: torch.mps.synchronize()
    return lambda: None
