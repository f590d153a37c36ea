"""The parts of a call: how long it tokenises, copies, computes and sorts.

A reranker marks its parts with `self.meter.span(name)`. The device is synchronised where a part
ends, or else its work would be counted where somebody first waits for it; that stops the device
from running ahead, so that the parts are taken in calls of their own and never in those whose total
is reported.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from bench.machine.clock import REAL_CLOCK, Clock

OTHER = "other"
ON_DEVICE = "forward (device)"
"""The forward passes between two events of the device's own clock: without what the host does
before and after them.
"""


class Stopwatch:
    """Adds up the time in each part. A part inside another counts for itself only; parts may run in
    several threads at once.
    """

    def __init__(self, device: str, clock: Clock = REAL_CLOCK) -> None:
        self._clock = clock
        self.nanoseconds: dict[str, int] = {}
        self._synchronise: Callable[[], None] = clock.synchroniser(device)
        self._device_timer = clock.device_timer(device)
        self._owner = threading.get_ident()
        self._own_time = 0
        self._inner = threading.local()
        self._adding = threading.Lock()

    @contextmanager
    def span(self, name: str) -> Iterator[None]:
        """Time the block as a part of this name."""
        stop_on_device = None
        if self._device_timer and name == "forward":
            stop_on_device = self._device_timer()
        outer, self._inner.time = getattr(self._inner, "time", 0), 0
        start = self._clock.now_ns()
        try:
            yield
        finally:
            on_device = None
            if stop_on_device:
                on_device = stop_on_device()
            self._synchronise()
            nanoseconds = self._clock.now_ns() - start
            self._add(name, nanoseconds - self._inner.time)
            # a part inside this one took time of the host's that the device's clock holds too
            if on_device and not self._inner.time:
                self._add(ON_DEVICE, on_device())
            self._inner.time = outer + nanoseconds

    def parts(self, total: int) -> dict[str, int]:
        """Return the nanoseconds of each part of a call that took `total`, and of the rest of it
        (`other`).

        Only the thread that made this stopwatch is subtracted: what other threads did meanwhile
        took none of the caller's time.
        """
        return {**self.nanoseconds, OTHER: max(0, total - self._own_time)}

    def _add(self, name: str, nanoseconds: Any) -> None:
        with self._adding:
            self.nanoseconds[name] = self.nanoseconds.get(name, 0) + int(nanoseconds)
            if name != ON_DEVICE and threading.get_ident() == self._owner:
                self._own_time += int(nanoseconds)
