"""Numbers by the million, of which the first few megabytes are in memory and the others in a
temporary file.
"""

from __future__ import annotations

import tempfile
import weakref
from array import array
from collections.abc import Iterable
from typing import IO, Any

IN_MEMORY = 2**22
"""Bytes of an array that stay in memory: a larger one has a file."""
AT_ONCE = 2**20
"""Bytes that are written to the file together."""


class LongArray:
    """Numbers of one type (a type code of `array`) that are appended and read by stretches. What
    does not fit in IN_MEMORY goes to a file without a name, which ends with the array. Where none
    can be written, everything stays in memory.
    """

    def __init__(self, code: str) -> None:
        self._tail: array[Any] = array(code)
        self._filed = 0
        """How many numbers are in the file."""
        self._file: IO[bytes] | None = None
        self._limit = IN_MEMORY

    def __len__(self) -> int:
        return self._filed + len(self._tail)

    def extend(self, numbers: Iterable[float]) -> None:
        """Append numbers, or what has the bytes of an array of this type."""
        self._tail.extend(numbers)
        self._make_room()

    def add_bytes(self, data: bytes) -> None:
        """Append numbers by their bytes."""
        self._tail.frombytes(data)
        self._make_room()

    def stretch(self, start: int, end: int) -> array[Any]:
        """Return the numbers from one place up to another."""
        if start >= self._filed:
            return self._tail[start - self._filed : end - self._filed]
        filed = min(end, self._filed)
        numbers = self._read(start, filed)
        if end > filed:
            numbers.extend(self._tail[: end - filed])
        return numbers

    def _read(self, start: int, end: int) -> array[Any]:
        size = self._tail.itemsize
        numbers: array[Any] = array(self._tail.typecode, bytes(max(0, end - start) * size))
        if self._file is not None and len(numbers):
            self._file.seek(start * size)
            room = memoryview(numbers).cast("B")
            while len(room):
                count = self._file.readinto(room)  # type: ignore[attr-defined]
                if not count:
                    raise OSError("a temporary file is shorter than what was written to it")
                room = room[count:]
        return numbers

    def _make_room(self) -> None:
        if len(self._tail) * self._tail.itemsize < self._limit:
            return
        try:
            self._write()
        except OSError:
            # no room on the disk: what was filed is read back, and memory has to do
            self._tail = self._read(0, self._filed) + self._tail
            self._file, self._filed = None, 0
            self._limit = 2**62

    def _write(self) -> None:
        if self._file is None:
            self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115
            weakref.finalize(self, self._file.close)
            self._limit = AT_ONCE
        size = self._tail.itemsize
        self._file.seek(self._filed * size)
        rest = memoryview(self._tail).cast("B")
        while len(rest):
            rest = rest[self._file.write(rest) :]
        self._filed += len(self._tail)
        self._tail = array(self._tail.typecode)
