"""A reranker from the recipe that a run hands to another process."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench import rerankers
from bench.contract.stage import Reranker
from bench.core.plugins import look_in


def built(recipe: Mapping[str, Any]) -> Reranker:
    """Return a reranker from the fields of a `Recipe`, nothing loaded yet."""
    base_dir = Path(recipe["base_dir"])
    look_in(base_dir)
    return rerankers.build(recipe["name"], recipe["options"], recipe["device"], base_dir)
