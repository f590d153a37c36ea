"""How another process builds the same: what a run hands to processes that it starts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Recipe:
    """How another process builds the same reranker: its name and options as the suite has them,
    where its paths are relative to, and its device. `builder` is the function that takes the fields
    and returns it.

    A dataset or first stage of a pipeline has one, too, and no builder of its own.
    """

    name: str
    options: Any
    base_dir: str
    device: str = "cpu"
    builder: str = "bench.rerankers.recipe:built"


@dataclass(frozen=True)
class StepRecipe:
    """How a stage after the first of a pipeline is built, and how many documents it hands on.
    `learned` is the key of what it has learned in a run, where it has.
    """

    name: str
    keep: int | None
    reranker: Recipe
    learned: str | None = None


@dataclass(frozen=True)
class PipelineRecipe:
    """How another process builds the same pipeline, over the same collection."""

    dataset: Recipe
    seed: int
    depth: int
    first_name: str
    first: Recipe
    steps: tuple[StepRecipe, ...]
    device: str
    builder: str = "bench.pipelines.recipe:built"
