"""What has been timed of a search, on disk: an interrupted search does not time it again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bench.core.atomic import write_atomically
from bench.core.digest import digest_of
from bench.core.errors import BenchError
from bench.core.json_file import read_json

Timed = Mapping[str, Mapping[str, list[float]]]
"""Name of what was timed -> query id -> milliseconds."""
CHECKSUM = "sha256"
"""Of the timings: a file that was damaged since gives none."""


@dataclass
class Journal:
    """The timings of a search, in the order in which they were taken. `key` says what they are of:
    where it is another one, the file is begun anew.
    """

    path: Path
    key: str
    entries: dict[str, Timed] = field(default_factory=dict)
    reused: int = field(default=0, init=False)
    """Times that an earlier search's timings were read."""

    def __post_init__(self) -> None:
        try:
            data = read_json(self.path)
            if data["key"] == self.key and data[CHECKSUM] == digest_of(data["timed"]):
                self.entries = data["timed"]
        except (OSError, ValueError, LookupError, TypeError):
            # without timings that are as they were written, everything is timed anew
            return

    def read(self, name: str) -> Timed | None:
        """Return the timings of this name, None where there are none."""
        timed = self.entries.get(name)
        if timed is not None:
            self.reused += 1
        return timed

    def write(self, name: str, timed: Timed) -> None:
        """Add timings; they are on disk when this returns."""
        self.entries[name] = timed
        fields = {"key": self.key, "timed": self.entries, CHECKSUM: digest_of(self.entries)}
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(self.path, json.dumps(fields).encode())
        except OSError as error:
            raise BenchError(f"{self.path}: cannot be written: {error.strerror}") from error
