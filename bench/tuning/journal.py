"""What has been timed of a search, on disk: an interrupted search does not time it again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bench.core.atomic import write_atomically
from bench.core.errors import BenchError

Timed = Mapping[str, Mapping[str, list[float]]]
"""Name of what was timed -> query id -> milliseconds."""


@dataclass
class Journal:
    """The timings of a search, in the order in which they were taken. `key` says what they are of:
    where it is another one, the file is begun anew.
    """

    path: Path
    key: str
    entries: dict[str, Timed] = field(default_factory=dict)

    def __post_init__(self) -> None:
        try:
            data = json.loads(self.path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return
        if isinstance(data, dict) and data.get("key") == self.key:
            self.entries = data["timed"]

    def read(self, name: str) -> Timed | None:
        """Return the timings of this name, None where there are none."""
        return self.entries.get(name)

    def write(self, name: str, timed: Timed) -> None:
        """Add timings; they are on disk when this returns."""
        self.entries[name] = timed
        text = json.dumps({"key": self.key, "timed": self.entries})
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(self.path, text.encode())
        except OSError as error:
            raise BenchError(f"{self.path}: cannot be written: {error.strerror}") from error
