"""What a search chooses among: the pipelines that stored scores allow, with their quality on
queries that decided nothing of them, and a forecast of their time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from bench.composition.chain import Chain
from bench.composition.compose import Composing
from bench.composition.composed import ComposedPipeline, Tuning
from bench.composition.grid import grid
from bench.composition.prices import price_of
from bench.composition.steps import NotStored
from bench.composition.times import Forecasts
from bench.composition.training import families_seen
from bench.tuning.outcome import Candidate

LEARNED_ON = 0
"""The half of the queries on which the share of a blend is learned that the winner has."""


@dataclass
class Choice:
    """The candidates of a search, best first, and what is left out: (pipeline or row, reason)."""

    composing: Composing
    forecasts: Forecasts
    candidates: list[Candidate] = field(default_factory=list)
    left_out: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.left_out += self.composing.dataset.left_out.items()
        for chain in grid(self.composing.dataset):
            if not any(step.work.learns for step in chain.steps):
                self._add(chain)
        for pipeline in self.composing.tuned_blends():
            if pipeline.tuning is not None:
                self._add_blend(pipeline, pipeline.tuning)
        # a blend that is as good as its row comes after it: sorting keeps the order of equals
        self.candidates.sort(key=lambda each: (-each.quality, each.forecast_ms))

    def _add(self, chain: Chain) -> None:
        reason = _untimed(chain, self.forecasts)
        if reason:
            self.left_out.append((str(chain), reason))
            return
        measuring = self.composing.dataset.measuring
        try:
            values = measuring.values(chain)[self.composing.headline]
        except NotStored as error:
            self.left_out.append((str(chain), str(error)))
            return
        self.candidates.append(self._candidate(chain, values.tolist(), None))

    def _add_blend(self, pipeline: ComposedPipeline, tuning: Tuning) -> None:
        """Add a blend with the share that was learned on one half of the queries. Its values are
        those of either half by the share that was learned on the other one.
        """
        share = tuning.shares[1 - LEARNED_ON]
        if share in (0.0, 1.0):
            # the stage before or the row alone, which is a candidate itself
            return
        chain = pipeline.chain.with_share(share)
        if _untimed(chain, self.forecasts):
            self.left_out.append((str(chain), _untimed(chain, self.forecasts)))
            return
        values = pipeline.values[self.composing.headline].tolist()
        self.candidates.append(self._candidate(chain, values, tuning))

    def _candidate(self, chain: Chain, values: Sequence[float], tuning: Tuning | None) -> Candidate:
        import numpy as np

        samples = self.forecasts.samples(chain)
        return Candidate(
            chain,
            float(np.mean(values)),
            values,
            price_of(chain, self.composing.prices),
            float(samples.max()),
            float(np.median(samples)),
            tuning,
            families_seen(self.composing.dataset, chain),
        )


def _untimed(chain: Chain, forecasts: Forecasts) -> str:
    """Return why a chain has no forecast; nothing where it has."""
    if chain.first not in forecasts.searches:
        return f"no timed search of {chain.first} succeeded"
    rows = [row for row in chain.rows if row not in forecasts.stages]
    if rows:
        return f"no timed call of {rows[0]} succeeded"
    return ""
