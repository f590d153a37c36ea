"""One pipeline for several datasets, of what a search on each has composed and timed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.composition.chain import Chain
from bench.tuning.outcome import Candidate, Outcome


@dataclass(frozen=True)
class CommonPipeline:
    """A pipeline that could be composed on each dataset, with its quality there, in their order.
    `fits` where it keeps to the limits on each, by its forecast on those of `forecast_on`, where it
    was not timed; `best_on` are the datasets that chose it.
    """

    chain: Chain
    qualities: Sequence[float]
    fits: bool
    forecast_on: Sequence[str]
    best_on: Sequence[str]

    @property
    def mean(self) -> float:
        """The mean of the datasets' qualities, each of which counts alike."""
        return sum(self.qualities) / len(self.qualities)


def common_pipelines(outcomes: Sequence[Outcome]) -> list[CommonPipeline]:
    """Return the pipelines that every search could choose: those that fit everywhere first, then by
    their mean quality.
    """
    by_dataset = [
        {candidate.chain: candidate for candidate in outcome.candidates} for outcome in outcomes
    ]
    pipelines: list[CommonPipeline] = []
    for chain in by_dataset[0]:
        if all(chain in candidates for candidates in by_dataset):
            own = [candidates[chain] for candidates in by_dataset]
            pipelines.append(_common(chain, outcomes, own))
    return sorted(pipelines, key=lambda pipeline: (not pipeline.fits, -pipeline.mean))


def _common(
    chain: Chain, outcomes: Sequence[Outcome], candidates: Sequence[Candidate]
) -> CommonPipeline:
    fits = True
    forecast_on: list[str] = []
    best_on: list[str] = []
    for outcome, candidate in zip(outcomes, candidates, strict=True):
        timed = outcome.timed_as(chain)
        times = (candidate.forecast_p50_ms, candidate.forecast_ms)
        if timed is None:
            forecast_on.append(outcome.dataset)
        else:
            times = (timed.p50_ms, timed.p95_ms)
        limits = outcome.limits
        fits &= limits.allow_times(*times) and limits.allow_cost(candidate.usd_per_1000)
        if outcome.winner is not None and outcome.winner.chain == chain:
            best_on.append(outcome.dataset)
    qualities = [candidate.quality for candidate in candidates]
    return CommonPipeline(chain, qualities, fits, forecast_on, best_on)
