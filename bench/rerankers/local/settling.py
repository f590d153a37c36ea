"""How a loaded model computes its batches: by which runtime, by how many workers, and how large
they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bench.contract.meter import Meter
from bench.core.counting import percent
from bench.core.errors import RerankerError
from bench.models import packed_encoder, packing, sentence_transformer
from bench.models.batches import Limit
from bench.models.lengths import length_limit
from bench.models.packed_encoder import PackedEncoder
from bench.models.weights import versions
from bench.rerankers.local import runtimes, self_tuning
from bench.rerankers.local.first_token import (
    attend_from_first_token_only,
    keep_first_token_only,
)
from bench.rerankers.local.pair_scorer import PairScorer
from bench.rerankers.local.pairs import PairTokeniser
from bench.rerankers.local.rounded_products import LARGE_PRODUCTS, round_large_products
from bench.rerankers.local.runtimes import Runtime, Setup
from bench.rerankers.local.runtimes.torch import TorchRuntime
from bench.rerankers.local.self_tuning import Choice, Setting
from bench.rerankers.local.workers import Workers
from bench.rerankers.options import RuntimeOptions

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


PROBE = (("a", "b"), ("a", "the first of these two documents is by far the shorter one"))
"""What every model is tried on when it loads, so that a shorter way is only taken where it leads to
the same scores.
"""

EXACT, ROUNDED = 1e-3, 5e-2
"""How far a probe's scores may lie from the library's, as a share of the largest, in float32 and in
16 bits.
"""


def build(
    model: Any, options: RuntimeOptions, device: str, source: Mapping[str, object]
) -> PairScorer | None:
    """Return a scorer for a loaded CrossEncoder, or None for one that must write its inputs itself:
    with a chat template, with processing settings of its author, or in a way that gives other
    scores than ours on the probe. `source` says which weights were loaded. To be called within
    `torch_settings` of the options, in which the scorer will be used.

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
    network = model[0].model
    scorer.first_token_only = _is_same(scorer, keep_first_token_only(network), expected, allowed)
    source = {**source, "first_token_only": scorer.first_token_only}
    rounds = options.dtype == "bfloat16" and model.dtype == torch.float32
    if scorer.first_token_only and (rounds or options.dtype == "float32"):
        handle = attend_from_first_token_only(network)
        source["first_attention"] = _is_same(scorer, handle, expected, allowed)
    is_rounded = rounds and scorer.first_token_only and round_large_products(network)
    if is_rounded:
        source["rounded"] = LARGE_PRODUCTS
    elif options.runtime == "torch":
        model.to(getattr(torch, options.dtype))
    if options.is_packed:
        _pack(scorer, model, options, expected, allowed)
    setup = replace(setup, source=source, compile=options.compile, is_rounded=is_rounded)
    _settle(scorer, options, setup)
    if options.runtime != "torch" or options.compile:
        distance = _distance(scorer, expected)
        if options.dtype == "float32" and distance > allowed:
            raise RerankerError(
                f"{options.model}: with runtime {options.runtime} its scores differ by "
                f"{percent(distance, 1)}"
            )
    return scorer


def _is_same(scorer: PairScorer, handle: Any, expected: Any, allowed: float) -> bool:
    """Return whether there is a shorter way, and it leads to the expected scores: it is undone
    where they differ.
    """
    if handle is None:
        return False
    if _distance(scorer, expected) <= allowed:
        return True
    handle.remove()
    return False


def _pack(
    scorer: PairScorer, model: Any, options: RuntimeOptions, expected: Any, allowed: float
) -> None:
    """Have a scorer put the pairs of a batch end to end. Raises RerankerError for a model that this
    does not fit.
    """
    network = model[0].model
    if not (scorer.first_token_only and packed_encoder.fits(network)):
        raise RerankerError(f"{options.model}: {packing.UNFIT}")
    PackedEncoder(network)
    scorer.limit.is_packed = True
    scorer.first_position = packing.first_position(network)
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


def _settle(scorer: PairScorer, options: RuntimeOptions, setup: Setup) -> None:
    """Give a scorer its runtime, and the workers and the budget that the options name, or those
    that are fastest here.
    """
    ways = Ways(scorer, options, setup)
    setting = Setting(options.given_workers, scorer.limit.tokens or 0)
    if options.is_tuned:
        settings = self_tuning.settings(options, setting, setup.threads)
        scorer.choice = self_tuning.kept(
            ways.decide_speed(), setup.device, settings, lambda: ways.choose(setting, settings)
        )
        setting = scorer.choice.setting
    ways.take(setting)


class Ways:
    """The ways in which one model can compute. Each runtime is built once."""

    def __init__(self, scorer: PairScorer, options: RuntimeOptions, setup: Setup) -> None:
        self._scorer, self._options, self._setup = scorer, options, setup
        self._torch = scorer.runtime
        self._built: dict[int, Runtime] = {}
        self._workers: dict[int, Workers] = {}

    def take(self, setting: Setting) -> None:
        """Have the scorer compute with a setting."""
        scorer, number = self._scorer, setting.workers
        scorer.runtime = self._runtime(number)
        if number not in self._workers:
            self._workers[number] = Workers(number, self._setup.threads)
        scorer.workers = self._workers[number]
        if scorer.limit.pairs is None:
            scorer.limit.tokens = setting.token_budget

    def choose(self, usual: Setting, settings: Sequence[Setting]) -> Choice:
        """Return the fastest of the settings. The threads that it took are ended."""
        longest = self._scorer.tokeniser.limit
        try:
            return self_tuning.choose(usual, settings, self._compute, longest)
        finally:
            # what was tried is nothing that a pass over queries met
            self._scorer.limit.take_halvings()
            for workers in self._workers.values():
                workers.close()

    def decide_speed(self) -> dict[str, object]:
        """Return what decides which setting is the fastest, next to the machine."""
        setup, options = self._setup, self._options
        return {
            **setup.source,
            "runtime": options.runtime,
            "dtype": options.dtype,
            "threads": setup.threads,
            "workers": options.workers,
            "token_budget": options.token_budget,
            "batch_size": options.batch_size,
            **versions("torch", *runtimes.packages(options.runtime)),
        }

    def _compute(self, setting: Setting, lengths: NDArray[np.int64]) -> None:
        self.take(setting)
        self._scorer.compute(self._scorer.tokeniser.made(lengths))

    def _runtime(self, workers: int) -> Runtime:
        options = self._options
        if options.runtime == "torch" and not options.compile:
            return self._torch
        if workers not in self._built:
            setup = replace(self._setup, workers=workers)
            self._built[workers] = runtimes.build(options.runtime, setup)
        return self._built[workers]
