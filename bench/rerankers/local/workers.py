"""Several batches of one call at a time, each on its share of a CPU's threads.

Threads that share one matrix product wait for each other at its end, many times per batch; batches
next to each other wait once, at the end of the call. Every batch is the same as without workers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from bench.contract.requirement import Requirement
from bench.core.errors import Unavailable
from bench.models import sentence_transformer

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class ForWorkers(Requirement):
    """A device whose batches are computed next to each other."""

    device: str

    def require(self) -> None:
        if self.device != "cpu":
            raise Unavailable(
                f"workers share the threads of a CPU, and {self.device} has one queue",
                "leave workers out, or give devices: [cpu]",
            )


class Workers:
    """`number` threads, started with the first call; `threads` are for all of them together."""

    def __init__(self, number: int, threads: int) -> None:
        self.number = number
        self.threads_each = max(1, threads // number)
        self._pool: ThreadPoolExecutor | None = None

    def map(self, work: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
        """Return `work(item)` of every item, in order. Raises what the first of them raises."""
        import torch

        if self._pool is None:
            self._pool = ThreadPoolExecutor(
                self.number, "worker", torch.set_num_threads, (self.threads_each,)
            )
        # torch's number is that of the calling thread, and that of its matrix library everybody's
        with sentence_transformer.threads(self.threads_each):
            return list(self._pool.map(work, items))

    def close(self) -> None:
        """End the threads."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None
