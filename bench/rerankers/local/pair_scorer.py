"""Pairs to scores by the shortest way: tokenised once, sorted by length across all queries of a
call, in batches that fill a budget.

The scores are those of `CrossEncoder.predict`, which sorts by characters, pads more, and tokenises
batch by batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from bench.contract.meter import Meter
from bench.contract.request import Usage
from bench.core.counting import percent
from bench.core.errors import RerankerError
from bench.models import batches, packing, sentence_transformer
from bench.models.batches import Limit
from bench.models.lengths import length_limit
from bench.rerankers.local.first_token import keep_first_token_only
from bench.rerankers.local.pairs import Encoded, Pair, PairTokeniser
from bench.rerankers.local.runtimes import Runtime, Setup
from bench.rerankers.local.runtimes.torch import TorchRuntime
from bench.rerankers.local.self_tuning import Choice
from bench.rerankers.local.settling import settle
from bench.rerankers.local.workers import Workers
from bench.rerankers.options import RuntimeOptions

if TYPE_CHECKING:
    from bench.contract.request import Scores
    from bench.rerankers.local.pairs import Batch

BLOCK = 8192
"""Pairs that are sorted together. More would hold more memory and save no padding."""
BLOCK_ON_GPU = 512
"""Small enough that the next block is tokenised while the device works on this one."""

PROBE = (("a", "b"), ("a", "the first of these two documents is by far the shorter one"))
"""What every model is tried on when it loads, so that a shorter way is only taken where it leads to
the same scores.
"""

EXACT, ROUNDED = 1e-3, 5e-2
"""How far a probe's scores may lie from the library's, as a share of the largest, in float32 and in
16 bits.
"""


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


def build(
    model: Any, options: RuntimeOptions, device: str, source: Mapping[str, object]
) -> PairScorer | None:
    """Return a scorer for a loaded CrossEncoder, or None for one that must write its inputs itself:
    with a chat template, with processing settings of its author, or in a way that gives other
    scores than ours on the probe. `source` says which weights were loaded.

    Raises RerankerError when the model cannot be exported, or scores differently where it was.
    """
    settings = any(model[0].processing_kwargs.values()) or any(
        not getattr(module, "include_prompt", True) for module in model
    )
    if "message" in model[0].modality_config or settings or model.tokenizer.pad_token_id is None:
        return None
    import numpy as np
    import torch

    expected = model.predict(
        list(PROBE), prompt="", batch_size=len(PROBE), show_progress_bar=False
    ).reshape(-1)
    tokeniser = PairTokeniser(model.tokenizer, length_limit(model))
    example = tokeniser.batch(tokeniser.encode(PROBE), np.arange(len(PROBE)))
    setup = Setup(
        model, source, example, options.dtype, device, sentence_transformer.thread_count(options)
    )
    limit = Limit.of(options.batch_size, options.given_budget, device)
    scorer = PairScorer(tokeniser, TorchRuntime(setup), limit, ahead=device.startswith("cuda"))
    allowed = EXACT if model.dtype == torch.float32 else ROUNDED
    if _distance(scorer, expected) > allowed:
        return None
    handle = keep_first_token_only(model[0].model)
    scorer.first_token_only = handle is not None and _distance(scorer, expected) <= allowed
    if handle is not None and not scorer.first_token_only:
        handle.remove()
    if options.is_packed:
        _pack(scorer, model, options, expected, allowed)
    source = {**source, "first_token_only": scorer.first_token_only}
    setup = replace(setup, source=source, compile=options.compile)
    settle(scorer, options, setup)
    if options.runtime != "torch" or options.compile:
        distance = _distance(scorer, expected)
        if options.dtype == "float32" and distance > allowed:
            raise RerankerError(
                f"{options.model}: with runtime {options.runtime} its scores differ by "
                f"{percent(distance, 1)}"
            )
    return scorer


def _pack(
    scorer: PairScorer, model: Any, options: RuntimeOptions, expected: Any, allowed: float
) -> None:
    """Have a scorer put the pairs of a batch end to end. Raises RerankerError for a model that this
    does not fit.
    """
    if not scorer.first_token_only:
        raise RerankerError(f"{options.model}: {packing.UNFIT}")
    scorer.limit.is_packed = True
    scorer.first_position = packing.first_position(model[0].model)
    distance = _distance(scorer, expected)
    if distance > allowed:
        raise RerankerError(
            f"{options.model}: with attention packed its scores differ by {percent(distance, 1)}; "
            "leave attention out"
        )


def _distance(scorer: PairScorer, expected: Any) -> float:
    """Return the largest difference between the probe's scores and the expected ones, as a share of
    the largest of these.
    """
    import numpy as np

    try:
        differences = np.abs(scorer.score(PROBE, Meter()) - expected)
    except (RuntimeError, IndexError, ValueError):
        # a head that wants what the shorter way leaves out
        return float("inf")
    return float(differences.max() / np.abs(expected).max())


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
