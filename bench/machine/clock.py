"""The clock of every timing, and what must be waited for before it is read: work on an accelerator
goes on after the call returns.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

now_ns = time.perf_counter_ns

Stop = Callable[[], Callable[[], int]]
"""Is called where the timed work ends; what it returns is called once the device has finished, and
gives nanoseconds on the device's clock.
"""


class Clock(Protocol):
    """Where timings read the time. A test hands in one that moves only when somebody works."""

    def now_ns(self) -> int:
        """Return nanoseconds since some moment."""

    def sleep(self, seconds: float) -> None:
        """Return once this time has passed."""

    def synchroniser(self, device: str) -> Callable[[], None]:
        """Return a function that returns when the device has finished all work it was given."""

    def device_timer(self, device: str) -> Callable[[], Stop] | None:
        """Return what starts a measurement by the device's own clock, None without one."""


class RealClock:
    """The monotonic clock of this machine, and the clocks of its accelerators."""

    def now_ns(self) -> int:
        return now_ns()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    def synchroniser(self, device: str) -> Callable[[], None]:
        return synchroniser(device)

    def device_timer(self, device: str) -> Callable[[], Stop] | None:
        return device_timer(device)


REAL_CLOCK: Clock = RealClock()


def synchroniser(device: str) -> Callable[[], None]:
    """Return a function that returns when the device has finished all of its work; it does nothing
    for a CPU.
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
    """Return what starts a measurement by the device's own clock, None without one.

    CUDA has events, which the device passes in the order of its work.
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
