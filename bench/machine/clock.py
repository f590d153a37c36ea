"""The clock of every timing, and what must be waited for before it is read: work on an accelerator
goes on after the call returns.
"""

from __future__ import annotations

import time
from collections.abc import Callable

now_ns = time.perf_counter_ns

Stop = Callable[[], Callable[[], int]]
"""Called where the timed work ends; what it returns is called once the device has finished, and
gives nanoseconds on the device's clock.
"""


def synchroniser(device: str) -> Callable[[], None]:
    """A function that returns when the device has finished all work it was given; does nothing for
    a CPU.
    """
    kind = device.partition(":")[0]
    if kind == "cuda":
        import torch

        return lambda: torch.cuda.synchronize(device)
    if kind == "mps":
        import torch

        return lambda: torch.mps.synchronize()
    return lambda: None


def device_timer(device: str) -> Callable[[], Stop] | None:
    """Starts a measurement by the device's own clock (CUDA events, which the device passes in the
    order of its work); None without one.
    """
    if not device.startswith("cuda"):
        return None
    import torch

    def start() -> Stop:
        stream = torch.cuda.current_stream(device)
        first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        first.record(stream)

        def stop() -> Callable[[], int]:
            last.record(stream)
            return lambda: int(first.elapsed_time(last) * 1e6)

        return stop

    return start
