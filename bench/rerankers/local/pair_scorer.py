"""Pairs to scores by the shortest way: tokenised once, sorted by length across all queries of a
call, in batches that fill a budget.

The scores are those of `CrossEncoder.predict`, which sorts by characters, pads more, and tokenises
batch by batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from bench.contract.meter import Meter
from bench.contract.request import Usage
from bench.models import batches
from bench.models.batches import Limit
from bench.rerankers.local.pairs import Encoded, Pair, PairTokeniser
from bench.rerankers.local.runtimes import Runtime
from bench.rerankers.local.self_tuning import Choice
from bench.rerankers.local.workers import Workers

if TYPE_CHECKING:
    from bench.contract.request import Scores
    from bench.rerankers.local.pairs import Batch

BLOCK = 8192
"""Pairs that are sorted together. More would hold more memory and save no padding."""
BLOCK_ON_GPU = 512
"""Small enough that the next block is tokenised while the device works on this one."""


class PairScorer:
    """One model's tokeniser, runtime and limit."""

    def __init__(
        self, tokeniser: PairTokeniser, runtime: Runtime, limit: Limit, *, ahead: bool = False
    ) -> None:
        self.tokeniser, self.runtime, self.limit = tokeniser, runtime, limit
        self.first_token_only = False
        self.first_position = 0
        """The number of a pair's first position, where batches are packed."""
        self.workers = Workers(1, 1)
        self.choice: Choice | None = None
        """How workers and budget were chosen, where the options leave it open."""
        self._ahead = ahead

    def score(self, pairs: Sequence[Pair], meter: Meter) -> Scores:
        """Return one raw logit per pair, in order. Shape: (len(pairs),). Raises RerankerError when
        not even one pair fits into memory.
        """
        import numpy as np

        if not pairs:
            return np.empty(0, dtype=np.float64)
        results: list[tuple[Any, Any]] = []
        start = 0
        blocks = self._encoded(pairs)
        while True:
            with meter.span("tokenise"):
                encoded = next(blocks, None)
            if encoded is None:
                break
            meter.count(
                Usage(
                    tokens=int(encoded.lengths.sum()),
                    truncated=encoded.truncated,
                    cut_queries=encoded.cut_queries,
                )
            )
            parts = self._parts(encoded, meter)
            slots = sum(self.limit.slots(encoded.lengths[rows]) for rows, _ in parts)
            meter.count(Usage(slots=slots))
            results += [(rows + start, part) for rows, part in parts]
            start += len(encoded.lengths)
        with meter.span("copy"):
            return batches.in_order(results, self.runtime.fetch)

    def compute(self, encoded: Encoded) -> None:
        """Compute the logits of tokenised pairs, for their time alone."""
        self.runtime.fetch([part for _, part in self._parts(encoded, Meter())])

    def _parts(self, encoded: Encoded, meter: Meter) -> list[tuple[Any, Any]]:
        """Return the rows and the logits of every batch."""
        if self.workers.number == 1:
            return batches.run(encoded.lengths, self.limit, partial(self._forward, encoded, meter))
        rows = batches.cut(encoded.lengths, self.limit)
        with meter.span("forward"):
            logits = self.workers.map(partial(self._forward, encoded, Meter()), rows)
        return list(zip(rows, logits, strict=True))

    def _forward(self, encoded: Encoded, meter: Meter, rows: Any) -> Any:
        with meter.span("tokenise"):
            batch = self._batch(encoded, rows)
        with meter.span("copy"):
            placed = self.runtime.place(batch)
        with meter.span("forward"):
            return self.runtime.logits(placed)

    def _batch(self, encoded: Encoded, rows: Any) -> Batch:
        if self.limit.is_packed:
            return self.tokeniser.packed(encoded, rows, self.first_position)
        return self.tokeniser.batch(encoded, rows)

    def _encoded(self, pairs: Sequence[Pair]) -> Iterator[Encoded]:
        size = BLOCK_ON_GPU if self._ahead else BLOCK
        blocks = [pairs[start : start + size] for start in range(0, len(pairs), size)]
        if self._ahead and len(blocks) > 1:
            return ahead(self.tokeniser.encode, blocks)
        return map(self.tokeniser.encode, blocks)


def ahead(work: Callable[[Any], Any], items: Sequence[Any]) -> Iterator[Any]:
    """Yield `map(work, items)`, each result made in a thread while the caller is at work on the one
    before.
    """
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as pool:
        following = pool.submit(work, items[0])
        for item in items[1:]:
            result = following.result()
            following = pool.submit(work, item)
            yield result
        yield following.result()
