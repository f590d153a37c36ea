"""Keeping below a service's limits per minute, so that it need not refuse.

A leaky bucket with room for one request (the generic cell rate algorithm): nothing is saved up, so
that no minute, whenever it begins, sees more than the limit. Tokens are known only when an answer
has come; they are paid for before the next request.
"""

from __future__ import annotations

import math
import time
from threading import Lock


class Pace:
    """When the next request may start. Threads may share one. `None` is no limit."""

    def __init__(self, requests_per_minute: float | None, tokens_per_minute: float | None) -> None:
        # no limit is an infinite number a minute, which takes 0 s each
        self._per_request = 60 / (requests_per_minute or math.inf)
        self._per_token = 60 / (tokens_per_minute or math.inf)
        self._next = self._paid = 0.0
        self._lock = Lock()

    def owed(self) -> float:
        """Return the seconds until a request may start."""
        with self._lock:
            return max(0.0, max(self._next, self._paid) - time.monotonic())

    def book(self) -> float:
        """Take the next place in the queue; return the seconds until its request may start."""
        with self._lock:
            now = time.monotonic()
            start = max(now, self._next, self._paid)
            self._next = start + self._per_request
            return start - now

    def charge(self, tokens: int) -> None:
        """Count the tokens of an answer."""
        with self._lock:
            self._paid = max(time.monotonic(), self._paid) + tokens * self._per_token
