"""The folder of a score cache on disk: its files by name, read, written and put aside, and what was
wrong with them.

No score is ever deleted. A damaged file is renamed; a file that cannot be opened (permissions, too
many open files, a stale mount) may be whole and stays as it is.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from bench.core.atomic import clear_remains, write_atomically
from bench.core.cache_dir import make_folder, set_aside
from bench.core.errors import BenchError
from bench.core.note import Code, Note, note
from bench.scoring.chunk_file import DamagedFile

Content = TypeVar("Content")
REMAINS_S = 3600.0
"""Seconds without a byte after which a temporary file is that of a process that was killed: a file
is written in one go, and other processes may write theirs to the folder at any time.
"""


class CacheFolder:
    """A folder of files, which may not be there yet."""

    unwritable = ""
    """Why something could not be written; "" where all was."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.forget_problems()

    def forget_problems(self) -> None:
        """Begin to count what is wrong with the files that are read."""
        self.impossible = 0
        self._damaged = 0
        self._unreadable = 0
        self._reason = ""

    def clear_remains(self) -> None:
        """Remove what killed processes have left half written, where that can be removed."""
        with suppress(OSError):
            clear_remains(self.path, idle_s=REMAINS_S)

    @property
    def problems(self) -> list[Note]:
        """What was wrong with the files, with counts."""
        notes = []
        if self._damaged:
            notes.append(note(Code.CACHE_DAMAGED, self._damaged))
        if self._unreadable:
            notes.append(note(Code.CACHE_UNREADABLE, self._unreadable, text=self._reason))
        elif self._reason:
            notes.append(note(Code.CACHE_CLOSED, text=self._reason))
        if self.impossible:
            notes.append(note(Code.CACHE_IMPOSSIBLE, self.impossible))
        if self.unwritable:
            notes.append(note(Code.CACHE_NOT_KEPT, text=self.unwritable))
        # a run keeps these notes: they name no place of this machine
        place = f"score cache {self.path.parent.name}/{self.path.name}"
        return [problem.at(place) for problem in notes]

    def write(self, name: str, data: bytes) -> Path | None:
        """Write a file, whole or not at all; return its path, None where it could not be
        written.
        """
        path = self.path / name
        try:
            make_folder(self.path)
            if path.is_dir():
                set_aside(path)
            write_atomically(path, data)
        except (BenchError, OSError) as error:
            self.unwritable = self.unwritable or reason_of(error)
            return None
        return path

    def entries(self, ending: str) -> list[os.DirEntry[str]]:
        """Return the files with this ending by name."""
        try:
            with os.scandir(self.path) as entries:
                own = [entry for entry in entries if entry.name.endswith(ending)]
        except FileNotFoundError:
            return []
        except OSError as error:
            self._reason = reason_of(error)
            return []
        return sorted(own, key=lambda entry: entry.name)

    def decoded(
        self, names: Iterable[str], decode: Callable[[bytes], Content]
    ) -> Iterator[tuple[Path, Content]]:
        """Yield files and what they hold."""
        for name in names:
            path = self.path / name
            try:
                content = decode(_bytes_of(path))
            except FileNotFoundError:  # another process took it away
                continue
            except (OSError, DamagedFile) as error:
                self.count_problem(path, error)
                continue
            yield path, content

    def count_problem(self, path: Path, error: Exception) -> None:
        """Count a file that could not be read, and rename it where it is damaged."""
        if isinstance(error, OSError):
            self._unreadable += 1
            self._reason = self._reason or reason_of(error)
            return
        try:
            set_aside(path)
            self._damaged += 1
        except FileNotFoundError:
            return
        except OSError as refusal:
            self._unreadable += 1
            reason = f"damaged, and not to be renamed: {reason_of(refusal)}"
            self._reason = self._reason or reason


def reason_of(error: BaseException) -> str:
    """Return what the system said, without the path."""
    cause = error.__cause__ or error
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror
    return type(cause).__name__


def _bytes_of(path: Path) -> bytes:
    """Return the bytes of a regular file. Anything else by that name, such as a folder or a pipe,
    has none and counts as damaged.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        return b""
    return path.read_bytes()
