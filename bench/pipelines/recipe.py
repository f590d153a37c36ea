"""A pipeline from the recipe that a run hands to another process."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench import datasets, retrieval
from bench.contract.learned import Origin
from bench.contract.recipe import Recipe
from bench.core.plugins import look_in
from bench.pipelines.pipeline import Pipeline, Step
from bench.rerankers import recipe as reranker_recipe


def built(recipe: Mapping[str, Any]) -> Pipeline:
    """Return a pipeline over its collection, from the fields of a `PipelineRecipe`. The collection
    is read; index and models are not.
    """
    dataset, first = recipe["dataset"], recipe["first"]
    look_in(Path(dataset["base_dir"]))
    collection = datasets.load(
        dataset["name"], dataset["options"], Path(dataset["base_dir"]), recipe["seed"]
    )
    stage = retrieval.build(
        first["name"], first["options"], Path(first["base_dir"]), recipe["device"]
    )
    steps: list[Step] = []
    for step in recipe["steps"]:
        key = json.dumps(step["reranker"], sort_keys=True, default=str)
        reranker = reranker_recipe.built(step["reranker"])
        between = tuple(earlier.name for earlier in steps)
        reranker.follows(Origin(Recipe(**first), recipe["depth"], recipe["seed"], between))
        if step["learned"] is not None:
            reranker.restore(step["learned"])
        steps.append(Step(step["name"], reranker, step["keep"], key))
    pipeline = Pipeline(recipe["first_name"], stage, steps, device=recipe["device"])
    pipeline.over(collection)
    return pipeline
