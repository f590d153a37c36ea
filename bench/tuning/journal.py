"""What has been timed of a search, on disk: an interrupted search does not time it again."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.core.atomic import write_atomically
from bench.core.digest import digest_of
from bench.core.errors import BenchError
from bench.core.json_file import read_json
from bench.core.note import Note, NoteFields, read_notes

Timed = Mapping[str, Mapping[str, list[float]]]
"""Name of what was timed -> query id -> milliseconds."""
CHECKSUM = "sha256"
"""Of timings and disturbances: a file that was damaged since gives none."""


@dataclass
class Journal:
    """The timings of a search, in the order in which they were taken, and what disturbed the
    machine meanwhile. `key` says what they are of: where it is another one, the file is begun anew.
    """

    path: Path
    key: str
    entries: dict[str, Timed] = field(default_factory=dict)
    reused: int = field(default=0, init=False)
    """Times that an earlier search's timings were read."""
    _earlier: Sequence[NoteFields] = field(default=(), init=False)
    """What disturbed earlier calls of the search."""
    _own: Sequence[NoteFields] = field(default=(), init=False)

    def __post_init__(self) -> None:
        try:
            data = read_json(self.path)
            content = [data["timed"], data["disturbances"]]
            if data["key"] == self.key and data[CHECKSUM] == digest_of(content):
                self.entries, self._earlier = content
        except (OSError, ValueError, LookupError, TypeError):
            # without timings that are as they were written, everything is timed anew
            return

    def read(self, name: str) -> Timed | None:
        """Return the timings of this name, None where there are none."""
        timed = self.entries.get(name)
        if timed is not None:
            self.reused += 1
        return timed

    @property
    def disturbances(self) -> tuple[Note, ...]:
        """What disturbed the machine while the timings were taken, in any call of the search."""
        return tuple(dict.fromkeys(read_notes([*self._earlier, *self._own])))

    def write(self, name: str, timed: Timed, disturbances: Sequence[NoteFields]) -> None:
        """Add timings, with what has disturbed this call of the search so far; they are on disk
        when this returns.
        """
        self.entries[name] = timed
        self._own = disturbances
        content = [self.entries, [*self._earlier, *disturbances]]
        fields = {
            "key": self.key,
            "timed": content[0],
            "disturbances": content[1],
            CHECKSUM: digest_of(content),
        }
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(self.path, json.dumps(fields).encode())
        except OSError as error:
            raise BenchError(f"{self.path}: cannot be written: {error.strerror}") from error
