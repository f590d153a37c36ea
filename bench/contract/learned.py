"""The result of training a stage inside a run: what it was trained on, which features count, and
the fusions of the same stages that it is compared with.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from bench.contract.candidates import QueryCandidates
from bench.contract.recipe import Recipe

FusionKind = Literal["rrf", "tuned"]
"""Reciprocal rank fusion, which is not trained; a sum of z-scores with tuned weights."""


@dataclass(frozen=True)
class Origin:
    """Where the lists of a stage come from: a first stage at a depth, and the rerankers in
    between, by their names. `seed` is the suite's.
    """

    first: Recipe | None
    depth: int
    seed: int
    between: tuple[str, ...] = ()


@dataclass(frozen=True)
class Importance:
    """How much a feature counts: its weight over standardised values or its gain in trees, and how
    much nDCG@10 falls when its values are permuted within each query. None where it is not known.
    """

    feature: str
    weight: float | None = None
    permutation: float | None = None


@dataclass(frozen=True)
class FusionOrders:
    """The order that a fusion of the same stages gives to each query's documents. `weights` has a
    row per fold, one alone where nothing was cross-fitted; it is empty where nothing was tuned.
    """

    kind: FusionKind
    orders: Mapping[str, QueryCandidates]
    weights: Sequence[Sequence[float]] = ()


@dataclass(frozen=True)
class Learned:
    """What training left. `dataset` is the one it was trained on, None where it is the queries'
    own, cross-fitted in `folds` parts. `stages` are those whose scores are fused, by name. `key`
    is what the cache folder has it under.
    """

    key: str
    model: str
    dataset: str | None
    folds: int | None
    queries: int
    documents: int
    importances: Sequence[Importance]
    stages: Sequence[str]
    fusions: Sequence[FusionOrders] = ()
    files: Mapping[str, bytes] = field(default_factory=dict)
    """The model as files: the end of a name, such as .json, and contents."""
