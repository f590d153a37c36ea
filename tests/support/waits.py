"""Waits that last no time."""

from __future__ import annotations

from threading import Event


class Seconds:
    """Stands in for the module `time` where only its monotonic clock is read."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


class Waits(Event):
    """An event that writes down how long it is waited for, and moves a clock by as much."""

    def __init__(self, clock: Seconds | None = None) -> None:
        super().__init__()
        self.clock = clock or Seconds()
        self.seconds: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        if timeout:
            self.seconds.append(timeout)
            self.clock.now += timeout
        return self.is_set()
