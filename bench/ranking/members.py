"""A gzipped run file in members of some queries each, so that a reader of a few queries unpacks
their members alone.

Members in a row are a gzip file like any other (RFC 1952, 2.2). What each holds is in a field of
its header that other readers pass over: how long it is, how many documents it ranks, and of which
queries. BGZF, of the SAM/BAM specification, is the same idea.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

TEXT_BYTES = 2**16
"""Of a member: it ends with the query that reaches this."""
ID_BYTES = 2**15
_LEVEL = 6
_START = struct.Struct("<4sIBBH")
_MARK = b"\x1f\x8b\x08\x04"
"""Of gzip: deflated, with a field in the header."""
_UNKNOWN = 255
"""The system that wrote the file."""
_FIELD = struct.Struct("<2sHIIII")
_NAME = b"RB"
"""Name and length of the field; bytes of the deflated text, documents, bytes of the ids, and a
checksum of these three and the ids."""
_AMOUNTS = struct.Struct("<III")
_END = struct.Struct("<II")


class Unmarked(Exception):
    """The file is not of members that were written here."""


class Member(NamedTuple):
    """Where the deflated text of some queries is, and what it ranks."""

    place: int
    length: int
    documents: int
    query_ids: list[str]


class MemberWriter:
    """Writes the lines of queries. Equal lines give equal bytes."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._is_empty = True
        self._begin()

    def write(self, query_id: str, lines: bytes, documents: int) -> None:
        """Add the lines of a query."""
        if not documents:
            return
        name = query_id.encode()
        if self._id_bytes + len(name) >= ID_BYTES:
            self.end()
        self._ids.append(name)
        self._id_bytes += len(name) + 1
        self._lines.append(lines)
        self._text_bytes += len(lines)
        self._documents += documents
        if self._text_bytes >= TEXT_BYTES:
            self.end()

    def end(self) -> None:
        """Write the member that was begun; a file without lines has one, too."""
        if not self._lines and not self._is_empty:
            return
        text = b"".join(self._lines)
        packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
        data = packer.compress(text) + packer.flush()
        self._file.write(self._header(len(data)))
        self._file.write(data)
        self._file.write(_END.pack(zlib.crc32(text), len(text) % 2**32))
        self._is_empty = False
        self._begin()

    def _header(self, length: int) -> bytes:
        ids = b"\n".join(self._ids)
        amounts = (length, self._documents, len(ids))
        checksum = zlib.crc32(_AMOUNTS.pack(*amounts) + ids)
        size = _FIELD.size - 4 + len(ids)
        if len(ids) > ID_BYTES:
            # one id of such a length: readers read all of the file
            return _START.pack(_MARK, 0, 0, _UNKNOWN, 0)
        field = _FIELD.pack(_NAME, size, *amounts, checksum) + ids
        return _START.pack(_MARK, 0, 0, _UNKNOWN, len(field)) + field

    def _begin(self) -> None:
        self._lines: list[bytes] = []
        self._ids: list[bytes] = []
        self._text_bytes = 0
        self._id_bytes = 0
        self._documents = 0


def members_of(path: Path) -> Iterator[Member]:
    """Yield the members of a file. Raises Unmarked where one was not written here, and OSError."""
    with path.open("rb") as file:
        yield from _members(file)


def texts_of(path: Path, members: Iterable[Member]) -> Iterator[bytes]:
    """Yield the lines of each member. Raises Unmarked where they are damaged, and OSError."""
    with path.open("rb") as file:
        for member in members:
            yield _text(file, member)


def _members(file: BinaryIO) -> Iterator[Member]:
    size = os.fstat(file.fileno()).st_size
    place = 0
    while place < size:
        file.seek(place)
        head = file.read(_START.size + _FIELD.size)
        if len(head) < _START.size + _FIELD.size or not head.startswith(_MARK):
            raise Unmarked
        name, length, *amounts, checksum = _FIELD.unpack(head[_START.size :])
        data_bytes, documents, id_bytes = amounts
        if name != _NAME or length != _FIELD.size - 4 + id_bytes:
            raise Unmarked
        ids = file.read(id_bytes)
        if zlib.crc32(_AMOUNTS.pack(*amounts) + ids) != checksum:
            raise Unmarked
        query_ids = [] if not ids else ids.decode().split("\n")
        place += len(head) + id_bytes
        yield Member(place, data_bytes, documents, query_ids)
        place += data_bytes + _END.size
    if place != size:
        raise Unmarked


def _text(file: BinaryIO, member: Member) -> bytes:
    file.seek(member.place)
    data = file.read(member.length + _END.size)
    try:
        text = zlib.decompress(data[: member.length], -zlib.MAX_WBITS)
    except zlib.error as error:
        raise Unmarked from error
    if data[member.length :] != _END.pack(zlib.crc32(text), len(text) % 2**32):
        raise Unmarked
    return text
