"""All answers of judges, on disk as they come: what was paid for is never asked twice, and a kill
loses the requests in flight.

A line of JSON per answer. The key is a digest of everything that decides it: the model as it is
served, its settings, the prompt, the query's text and the document's. A line that a kill or a full
disk cut off is taken away; one that cannot be read, or whose grade is none, is counted and asked
for again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from threading import Lock

from bench.core.atomic import clear_remains
from bench.core.digest import digest_of
from bench.core.errors import BenchError
from bench.core.json_file import json_value
from bench.judging.grades import GRADES
from bench.records.opening import try_lock

NAME = "answers.jsonl"
CHECKSUM = "sha256"
"""Of the other fields of a line."""


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
        self._end = 0
        self._replies: dict[str, list[Reply]] = {}
        self._writing = Lock()
        try:
            # unbuffered: what could not be written does not come back with the next answer
            self._file = path.open("ab", buffering=0)
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
        values = asdict(reply)
        values[CHECKSUM] = digest_of(values)
        line = json.dumps(values, ensure_ascii=False).encode("utf-8", "backslashreplace")
        with self._writing:
            try:
                self._write(line + b"\n")
            except OSError as error:
                # half a line would spoil the next one
                with suppress(OSError):
                    self._file.truncate(self._end)
                raise BenchError(f"{self.path}: cannot be written: {error.strerror}") from error
            self._replies.setdefault(reply.key, []).append(reply)

    def _write(self, line: bytes) -> None:
        rest = line
        while rest:
            rest = rest[self._file.write(rest) :]
        os.fsync(self._file.fileno())
        self._end += len(line)

    def forget(self) -> None:
        """Take away what was added since the file was opened: it is not known who answered."""
        self._file.truncate(self._begin)
        self._replies = {}
        self._read()

    def close(self) -> None:
        self._file.close()

    def _read(self) -> None:
        self._end = 0
        is_cut = False
        with self.path.open("rb") as lines:
            for line in lines:
                reply = _reply_in(line)
                is_cut = not line.endswith(b"\n")
                if reply is None and is_cut:
                    is_cut = False
                    break
                self._end += len(line)
                if reply is None:
                    self.damaged += 1
                    continue
                self._replies.setdefault(reply.key, []).append(reply)
        self._file.truncate(self._end)
        if is_cut:
            self._write(b"\n")
        self._begin = self._end


def _reply_in(line: bytes) -> Reply | None:
    """Return the answer of a line; None where it holds none, or a grade that is none."""
    try:
        values = json_value(line)
        # lines of before have none
        checksum = values.pop(CHECKSUM, None)
        if checksum not in (None, digest_of(values)):
            return None
        reply = Reply(**values)
    except (ValueError, TypeError, AttributeError):
        return None
    fields_of = asdict(reply)
    grade = fields_of.pop("grade")
    is_grade = grade is None or (type(grade) is int and grade in GRADES)
    if is_grade and all(type(value) in _TYPES[name] for name, value in fields_of.items()):
        return reply
    return None


_TYPES = {
    own.name: {"str": (str,), "int": (int,), "float": (float, int)}[str(own.type)]
    for own in fields(Reply)
    if own.name != "grade"
}
"""The types of an answer's fields, its grade left out."""


@contextmanager
def opened(folder: Path) -> Iterator[Answers]:
    """Yield the answers of a folder, which no other process judges into meanwhile. Raises
    BenchError where one does, or where the folder cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = try_lock(folder)
    except OSError as error:
        raise BenchError(f"{folder}: cannot be made: {error.strerror or error}") from error
    if lock is None:
        raise BenchError(
            f"{folder}: another process judges into it; wait for it, or choose another --out"
        )
    try:
        clear_remains(folder, below=True)
        answers = Answers(folder / NAME)
        try:
            yield answers
        finally:
            answers.close()
    finally:
        lock.release()
