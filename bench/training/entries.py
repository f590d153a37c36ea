"""A model as a row of a suite: before its training, and after."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bench import rerankers
from bench.catalogue import entries
from bench.contract.part import Part
from bench.models import headers
from bench.models.weights import Weights
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
    """Return the base of a recipe as a row. Weights without a head for pairs are a bi-encoder: as
    a cross-encoder they would score by a head that nobody has trained.
    """
    base = str(recipe.base)
    if base in entries.load():
        return Part(base, {"name": UNTUNED})
    kind = str(recipe.kind)
    if kind == "cross-encoder" and not _has_head(recipe, base):
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


def _has_head(recipe: Recipe, base: str) -> bool:
    """Return whether weights have a layer that scores pairs; fetches those of the hub."""
    options: Any = rerankers.build(recipe.kind, {"model": base}, "cpu", recipe.base_dir).options
    folder = Weights(options.model, options.revision).fetch()
    values = headers.config(base, folder) or {}
    architectures: Any = values.get("architectures") or ()
    return any(str(name).endswith(SCORERS) for name in architectures)
