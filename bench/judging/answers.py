"""All answers of judges, on disk as they come: what was paid for is never asked twice, and a kill
loses the requests in flight.

A line of JSON per answer. The key is a digest of everything that decides it: the model as it is
served, its settings, the prompt, the query's text and the document's. A line that a kill cut off is
taken away; one that cannot be read is counted and asked for again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Lock
from typing import BinaryIO

from bench.core.errors import BenchError

NAME = "answers.jsonl"


@dataclass(frozen=True)
class Reply:
    """One answer of a judge. `grade` is None where it has none, and `reason` says why. `query` and
    `document` are ids, for readers: they decide nothing.
    """

    key: str
    query: str
    document: str
    text: str
    grade: int | None
    reason: str = ""
    model: str = ""
    tokens: int = 0
    tokens_out: int = 0
    seconds: float = 0.0
    date: str = ""


class Answers:
    """The file of answers, open for one process. Several threads may add to it."""

    def __init__(self, path: Path) -> None:
        """Raises BenchError where the file cannot be read or written."""
        self.path = path
        self.damaged = 0
        self._begin = 0
        self._replies: dict[str, list[Reply]] = {}
        self._writing = Lock()
        try:
            self._file: BinaryIO = path.open("a+b")
            self._read()
        except OSError as error:
            raise BenchError(f"{path}: cannot be opened: {error.strerror or error}") from error

    def of(self, key: str) -> list[Reply]:
        """Return the answers of this key, in the order in which they came."""
        return self._replies.get(key, [])

    def grade(self, key: str) -> int | None:
        """Return the grade of the first answer that has one; None where none has."""
        return next((reply.grade for reply in self.of(key) if reply.grade is not None), None)

    def add(self, reply: Reply) -> None:
        """Keep an answer: it is on disk when this returns. Raises BenchError where it cannot be."""
        line = json.dumps(asdict(reply), ensure_ascii=False).encode("utf-8", "backslashreplace")
        with self._writing:
            try:
                self._file.write(line + b"\n")
                self._file.flush()
                os.fsync(self._file.fileno())
            except OSError as error:
                raise BenchError(f"{self.path}: cannot be written: {error.strerror}") from error
            self._replies.setdefault(reply.key, []).append(reply)

    def forget(self) -> None:
        """Take away what was added since the file was opened: it is not known who answered."""
        self._file.truncate(self._begin)
        self._replies = {}
        self._read()

    def close(self) -> None:
        self._file.close()

    def _read(self) -> None:
        self._file.seek(0)
        end = 0
        for line in self._file:
            if not line.endswith(b"\n"):
                break
            end += len(line)
            try:
                reply = Reply(**json.loads(line))
            except (ValueError, TypeError):
                self.damaged += 1
                continue
            self._replies.setdefault(reply.key, []).append(reply)
        self._file.truncate(end)
        self._begin = end


@contextmanager
def opened(folder: Path) -> Iterator[Answers]:
    """Yield the answers of a folder, which no other process judges into meanwhile. Raises
    BenchError where one does, or where the folder cannot be made.
    """
    from filelock import FileLock, Timeout

    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / ".lock")
        lock.acquire(timeout=0)
    except Timeout:
        raise BenchError(
            f"{folder}: another process judges into it; wait for it, or choose another --out"
        ) from None
    except OSError as error:
        raise BenchError(f"{folder}: cannot be made: {error.strerror or error}") from error
    try:
        answers = Answers(folder / NAME)
        try:
            yield answers
        finally:
            answers.close()
    finally:
        lock.release()
