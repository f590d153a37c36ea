"""Batches of like lengths: cut by a budget of tokens or a number of pairs, and halved where an
accelerator's memory is full.

Sorted by token count, a batch of a fixed budget holds many short pairs or a few long ones, and
little padding; on a CPU it ends before the budget where the padding of further pairs costs more
than another forward pass. The longest come first: what does not fit fails at once, and not in the
last minute.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from bench.core.errors import RerankerError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

T = TypeVar("T")

LIBRARY_PAIRS = 32
"""Pairs per forward pass where a library cuts the batches, and the suite names no number: what
sentence-transformers does.
"""
TOKENS = {"cpu": 1024, "mps": 8192}
"""Tokens per forward pass by kind of device. A CPU is fastest while a batch's activations stay in
its caches.
"""
TOKENS_ON_GPU = 16384
"""Enough to fill the matrix units of a data-centre GPU many times over; memory, not speed, argues
against more.
"""
PASS_COST = {"cpu": 24}
"""What starting a forward pass costs, in tokens, by kind of device, where batches are cut by it: on
a CPU some dozens of MiniLM's. An accelerator starts its kernels ahead and wants full batches.
"""


@dataclass
class Limit:
    """What one forward pass may hold: a number of pairs, or else of tokens, with their padding
    where a batch has any. It shrinks when memory runs out.

    A pair that is longer than the budget is a batch of its own.
    """

    pairs: int | None = None
    tokens: int | None = None
    pass_cost: int = 0
    """What starting another pass costs, in tokens: a batch of a token budget ends where padding
    would cost more. 0: batches fill their budget.
    """
    is_packed: bool = False
    """Whether the inputs of a batch lie end to end, without padding."""
    halvings: int = 0
    """Since they were last taken."""

    @classmethod
    def of(cls, pairs: int | None, tokens: int | None, device: str) -> Limit:
        """Return the limit that a suite sets: its number of pairs, else its token budget, else the
        device's.
        """
        if pairs:
            return cls(pairs=pairs)
        kind = device.partition(":")[0]
        of_device = TOKENS.get(kind, TOKENS_ON_GPU)
        return cls(tokens=tokens or of_device, pass_cost=PASS_COST.get(kind, 0))

    def rows(self, lengths: NDArray[np.int64]) -> int:
        """Return how many of the next inputs one batch takes: one at least. `lengths` are theirs in
        tokens, the longest first.
        """
        if self.pairs is not None:
            return self.pairs
        budget = self.tokens or 0
        if self.is_packed:
            return max(1, int((lengths[: budget + 1].cumsum() <= budget).sum()))
        longest = max(int(lengths[0]), 1)
        return self._least_wasteful(lengths[: max(1, budget // longest)])

    def _least_wasteful(self, lengths: NDArray[np.int64]) -> int:
        """Return how many of these inputs, the longest first, make the batch of which the largest
        share is tokens, rather than padding and the start of the pass.
        """
        if not self.pass_cost:
            return len(lengths)
        import numpy as np

        slots = np.arange(1, len(lengths) + 1) * max(int(lengths[0]), 1)
        return int((lengths.cumsum() / (slots + self.pass_cost)).argmax()) + 1

    def slots(self, lengths: NDArray[np.int64]) -> int:
        """Return the tokens of a batch, with its padding. `lengths`: the longest first."""
        if self.is_packed:
            return int(lengths.sum())
        return len(lengths) * int(lengths[0])

    def halve(self, lengths: NDArray[np.int64]) -> None:
        """Allow half of a batch of inputs of these lengths. Raises RerankerError where it is one
        input.
        """
        half = len(lengths) // 2
        if not half:
            raise RerankerError(
                f"out of memory with one pair of {lengths[0]} tokens: lower max_length, or take a "
                "dtype of fewer bits"
            )
        if self.pairs is not None:
            self.pairs = half
        else:
            self.tokens = self.slots(lengths[:half])
        self.halvings += 1

    def take_halvings(self) -> int:
        """Return the halvings since the last call."""
        halvings = self.halvings
        self.halvings = 0
        return halvings

    def facts(self) -> dict[str, int | None]:
        """Return the limit for a record."""
        return {"batch_size": self.pairs, "token_budget": self.tokens}


def run(
    lengths: NDArray[np.int64], limit: Limit, forward: Callable[[NDArray[np.int64]], T]
) -> list[tuple[NDArray[np.int64], T]]:
    """Return (rows, what `forward` returns for them) of every batch, the longest first. `lengths`
    are in tokens; rows index them.

    Raises RerankerError when not even one row fits into the accelerator's memory.
    """
    import numpy as np

    order = np.argsort(-lengths, kind="stable")
    parts: list[tuple[NDArray[np.int64], T]] = []
    start = 0
    while start < len(order):
        rows = order[start : start + limit.rows(lengths[order[start:]])]
        result = unless_memory_is_full(partial(forward, rows))
        if result is None:
            limit.halve(lengths[rows])
            continue
        parts.append((rows, result[0]))
        start += len(rows)
    return parts


def cut(lengths: NDArray[np.int64], limit: Limit) -> list[NDArray[np.int64]]:
    """Return the rows of every batch, the longest first, where no memory can be too full for
    one.
    """
    return [rows for rows, _ in run(lengths, limit, lambda rows: rows)]


def in_order(
    parts: Sequence[tuple[NDArray[np.int64], T]],
    fetch: Callable[[Sequence[T]], NDArray[np.float64]],
) -> NDArray[np.float64]:
    """Return what `fetch` brings back of all batches at once, in the order of the rows."""
    import numpy as np

    rows = np.concatenate([rows for rows, _ in parts])
    fetched = fetch([part for _, part in parts])
    ordered = np.empty_like(fetched)
    ordered[rows] = fetched
    return ordered


def on_host(parts: Sequence[Any]) -> NDArray[np.float64]:
    """Return tensors end to end as one array. An accelerator is waited for once."""
    import torch

    array: NDArray[np.float64] = torch.cat(list(parts)).cpu().double().numpy()
    return array


def fitting(limit: Limit, work: Callable[[int], T]) -> T:
    """Return `work(pairs per batch)`, begun again with half as many while memory is full: for
    libraries that cut the batches themselves.
    """
    import numpy as np

    while True:
        pairs = limit.pairs or LIBRARY_PAIRS
        result = unless_memory_is_full(partial(work, pairs))
        if result is not None:
            return result[0]
        limit.pairs = pairs
        limit.halve(np.zeros(pairs, dtype=np.int64))


def unless_memory_is_full(work: Callable[[], T]) -> tuple[T] | None:
    """Return what `work` returns, in a tuple, or None when the accelerator ran out of memory; that
    of the batch is free then.
    """
    import torch

    try:
        return (work(),)
    except torch.cuda.OutOfMemoryError:
        pass  # the traceback holds the batch: it must be gone before memory is given back
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return None
