"""One entry of a suite's lists, or of a stage that is made of others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ModelWrapValidatorHandler, model_validator

from bench.contract.recipe import Recipe
from bench.core.handed import is_handed
from bench.core.options import Options


class Part(Options):
    """One entry of a list: a name and its options, as written."""

    name: str
    options: Any = None

    def __init__(self, name: str, options: Any = None) -> None:
        # one field alone would be read as an entry: {name: ...}
        fields: dict[str, Any] = {"name": name, "options": options}
        super().__init__(**fields)

    @model_validator(mode="wrap")
    @classmethod
    def _from_entry(cls, entry: Any, handler: ModelWrapValidatorHandler[Part]) -> Part:
        if isinstance(entry, Part):
            return handler(entry)
        if isinstance(entry, str):
            return handler({"name": entry, "options": None})
        if isinstance(entry, dict) and set(entry) == {"name", "options"}:
            return handler(entry)
        if isinstance(entry, dict) and len(entry) == 1 and isinstance(next(iter(entry)), str):
            name, options = next(iter(entry.items()))
            return handler({"name": name, "options": options})
        raise ValueError(
            "an entry is a name, or one name with its options: 'bm25' or 'bm25: {k1: 0.9}'"
        )

    @property
    def label(self) -> str:
        """What a stage that holds the entry calls it: its `name` option, else its own name."""
        if isinstance(self.options, Mapping) and self.options.get("name"):
            return str(self.options["name"])
        return self.name

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


def refuse_same_labels(parts: Iterable[Part]) -> None:
    """Raise ValueError where two parts of one stage have the same name: tables and times would mix
    them up.
    """
    labels: set[str] = set()
    for part in parts:
        if part.label in labels:
            raise ValueError(f"two parts are named '{part.label}': give one of them another 'name'")
        labels.add(part.label)
