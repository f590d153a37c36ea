"""A model as a row of a suite: before its training, and after."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bench import rerankers
from bench.catalogue import entries
from bench.contract.part import Part
from bench.models import headers
from bench.models.weights import Weights
from bench.rerankers.local.late_interaction import has_projection
from bench.suite.moved import moved
from bench.training.comparison import TRAINED, UNTUNED, path_from
from bench.training.recipe import Recipe

SCORERS = (headers.CLASSIFIER, "ForCausalLM")
"""How the names of architectures end that give a pair a score."""
ADAPTER = "adapter_config.json"
RECIPE = "recipe.yaml"
TOKENIZER = "tokenizer_config.json"
CURVE = "trained"
"""The reranker that trains on a share of the queries."""


def untuned(recipe: Recipe, out: Path) -> Part:
    """Return the base of a recipe as a row. Weights without a head for pairs, or without a
    projection of tokens, are a bi-encoder: else they would score by what nobody has trained.
    """
    base = str(recipe.base)
    if base in entries.load():
        return Part(base, {"name": UNTUNED})
    kind = str(recipe.kind)
    scores = SCORES.get(kind)
    if scores is not None and not scores(_weights_of(recipe)):
        kind = "bi-encoder"
    return Part(kind, moved({"name": UNTUNED, "model": base}, recipe.base_dir, out))


def trained(recipe: Recipe, folder: Path, out: Path) -> Part:
    """Return a trained model folder as a row; an adapter alone goes with its base, and with the
    length that it was trained at.
    """
    path = path_from(folder, out)
    if (folder / ADAPTER).is_file():
        options: dict[str, Any] = {"name": TRAINED, **_weights(recipe), "adapter": path}
        options |= _head(recipe)
        tokenizer = json.loads((folder / TOKENIZER).read_text(encoding="utf-8"))
        options["max_length"] = tokenizer["model_max_length"]
        return Part(recipe.kind, moved(options, recipe.base_dir, out))
    return Part(recipe.kind, {"name": TRAINED, "model": path})


def curve(recipe: Recipe, out: Path) -> list[Part]:
    """Return a row per share of the training queries, the untuned base and the model of all of
    them included: a learning curve by the recipe's file, or by its copy where it has none.
    """
    file = Path(recipe.file)
    if not file.is_file():
        file = out / RECIPE
    path = path_from(file, out)
    shares = [share for share in recipe.fractions if share < 1]
    named = [(UNTUNED, 0.0), *((f"{TRAINED}, {100 * share:g} %", share) for share in shares)]
    return [
        Part(CURVE, {"name": name, "recipe": path, "fraction": share})
        for name, share in (*named, (TRAINED, 1.0))
    ]


def _head(recipe: Recipe) -> dict[str, str]:
    """Return the option of a head that is not a classifier's: the recipe's own, or its base's."""
    entry = entries.load().get(str(recipe.base))
    head = recipe.head
    if head is None and entry is not None:
        head = entry.options.get("head")
    if head is None:
        return {}
    return {"head": head}


def _weights(recipe: Recipe) -> dict[str, Any]:
    """Return the weights of a base as a suite names them."""
    base = str(recipe.base)
    entry = entries.load().get(base)
    if entry is None:
        return {"model": base}
    return {key: entry.options[key] for key in ("model", "revision") if key in entry.options}


def _weights_of(recipe: Recipe) -> Weights:
    """Return the weights of a base that no catalogue has."""
    options: Any = rerankers.build(
        recipe.kind, {"model": str(recipe.base)}, "cpu", recipe.base_dir
    ).options
    return Weights(options.model, options.revision)


def has_head(weights: Weights) -> bool:
    """Return whether weights have a layer that scores pairs; fetches those of the hub."""
    values = headers.config(weights.label, weights.fetch()) or {}
    architectures: Any = values.get("architectures") or ()
    return any(str(name).endswith(SCORERS) for name in architectures)


SCORES: Mapping[str, Callable[[Weights], bool]] = {
    "cross-encoder": has_head,
    "late-interaction": has_projection,
}
"""Of a kind of model, whether weights have what it scores by."""
