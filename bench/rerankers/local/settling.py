"""How a loaded model computes its batches: by which runtime, by how many workers, and how large
they are.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from bench.models import sentence_transformer
from bench.models.weights import versions
from bench.rerankers.local import runtimes, self_tuning
from bench.rerankers.local.runtimes import Runtime, Setup
from bench.rerankers.local.self_tuning import Choice, Setting
from bench.rerankers.local.workers import Workers

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from bench.rerankers.local.pair_scorer import PairScorer
    from bench.rerankers.options import RuntimeOptions


def settle(scorer: PairScorer, options: RuntimeOptions, setup: Setup) -> None:
    """Give a scorer its runtime, and the workers and the budget that the options name, or those
    that are fastest here.
    """
    ways = Ways(scorer, options, setup)
    setting = Setting(options.given_workers or 1, scorer.limit.tokens or 0)
    if options.is_tuned:
        with sentence_transformer.torch_settings(options):
            scorer.choice = self_tuning.kept(
                ways.decide_speed(), setup.device, lambda: ways.choose(setting)
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

    def choose(self, usual: Setting) -> Choice:
        """Return the fastest setting. The threads that it took are ended."""
        tried = self_tuning.settings(self._options, usual, self._setup.threads)
        longest = self._scorer.tokeniser.limit
        try:
            return self_tuning.choose(usual, tried, self._compute, longest)
        finally:
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
