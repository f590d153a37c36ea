"""How another process builds the same reranker."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Recipe:
    """How another process builds the same reranker: its name and options as the suite has them,
    where its paths are relative to, and its device.
    """

    name: str
    options: Any
    base_dir: str
    device: str = "cpu"
