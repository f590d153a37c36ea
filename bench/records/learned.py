"""What a record holds of a stage that was trained in the run."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from bench.core.options import Options
from bench.quality.statistics import Difference, Estimate


class ImportanceRecord(Options):
    """How much one feature counts."""

    feature: str
    weight: float | None = Field(
        allow_inf_nan=False,
        description="weight over values standardised within the query, or gain of the splits; mean "
        "over the models of the folds",
    )
    permutation: float | None = Field(
        allow_inf_nan=False,
        description="fall of nDCG@10 when the values are permuted among a query's documents",
    )


class FusionRecord(Options):
    """A fusion of the same stages, over the same queries."""

    kind: Literal["rrf", "tuned"] = Field(
        description="rrf: reciprocal rank fusion, k = 60, not trained; tuned: a weighted sum of "
        "z-scores, weights tuned on the queries that the stage was trained on, cross-fitted alike"
    )
    weights: list[list[float]] = Field(
        default_factory=list, description="of the stages, a row per fold; empty for rrf"
    )
    quality: dict[str, Estimate]
    difference: dict[str, Difference] = Field(
        description="the trained stage less the fusion, paired by query"
    )


class LearnedRecord(Options):
    """A stage that was trained in the run, and the fusions of the same stages: most of what it
    gains may be theirs.
    """

    stage: str
    model: str
    dataset: str | None = Field(description="trained on; None for the measured queries themselves")
    folds: int | None = Field(description="parts of the cross-fitting; None without it")
    queries: int = Field(ge=0, description="trained on; 0 for a model that was loaded")
    documents: int = Field(ge=0, description="candidates of these queries")
    stages: list[str] = Field(description="whose scores are features and are fused, by name")
    importances: list[ImportanceRecord]
    fusions: list[FusionRecord]
    files: list[str] = Field(description="of the model, in the folder models/ of the run")
