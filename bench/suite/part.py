"""One entry of a suite's lists."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import model_validator

from bench.contract.recipe import Recipe
from bench.core.handed import is_handed
from bench.core.options import Options


class Part(Options):
    """One entry of a list: a name and its options, as written."""

    name: str
    options: Any = None

    @model_validator(mode="before")
    @classmethod
    def _from_entry(cls, entry: Any) -> Any:
        if isinstance(entry, str):
            return {"name": entry, "options": None}
        if isinstance(entry, dict) and set(entry) == {"name", "options"}:
            return entry
        if isinstance(entry, dict) and len(entry) == 1 and isinstance(next(iter(entry)), str):
            name, options = next(iter(entry.items()))
            return {"name": name, "options": options}
        raise ValueError(
            "an entry is a name, or one name with its options: 'bm25' or 'bm25: {k1: 0.9}'"
        )

    def to_entry(self) -> Any:
        """Return the entry as a suite file writes it."""
        if self.options is None:
            return self.name
        return {self.name: self.options}

    def recipe(self, base_dir: Path, device: str = "cpu") -> Recipe | None:
        """Return how another process builds the same; None for an object that was handed over."""
        if is_handed(self.name):
            return None
        return Recipe(self.name, self.options, str(base_dir), device)
