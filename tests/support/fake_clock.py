"""A clock for tests: time that passes only when somebody sleeps, works or waits for a device."""

from __future__ import annotations

from collections.abc import Callable

from bench.machine.clock import Stop


class FakeClock:
    """A clock of this machine and of an accelerator that works on after a call has returned."""

    def __init__(self) -> None:
        self.now = 0
        self.device_free_at = 0
        self.waits = 0

    def now_ns(self) -> int:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += round(seconds * 1e9)

    def work(self, milliseconds: float) -> None:
        """Let time pass on this machine."""
        self.sleep(milliseconds / 1000)

    def queue(self, milliseconds: float) -> None:
        """Give the device work, and return at once."""
        self.device_free_at = max(self.device_free_at, self.now) + round(milliseconds * 1e6)

    def synchroniser(self, device: str) -> Callable[[], None]:
        def wait() -> None:
            self.waits += 1
            self.now = max(self.now, self.device_free_at)

        return wait

    def device_timer(self, device: str) -> Callable[[], Stop] | None:
        if device == "cpu":
            return None

        def start() -> Stop:
            began = max(self.now, self.device_free_at)
            return lambda: lambda: self.device_free_at - began

        return start


class UnsynchronisedClock(FakeClock):
    """Never waits for the device: work that a call has queued looks free."""

    def synchroniser(self, device: str) -> Callable[[], None]:
        return lambda: None
