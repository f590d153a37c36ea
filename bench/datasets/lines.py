"""Reading text files that people made: plain or compressed, any line end, with or without a byte
order mark.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.core.errors import DataError
from bench.core.note import Code, Notes

SUFFIXES = ("", ".gz", ".bz2", ".xz", ".zst")
"""Endings under which a file of a collection is looked for."""
COMPRESSIONS = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    b"\x28\xb5\x2f\xfd": "zstandard",
}
NAMED = {".gz": "gzip", ".bz2": "bzip2", ".xz": "xz", ".zst": "zstandard"}
FOREIGN = {
    b"PK\x03\x04": "is a zip archive: unpack it",
    b"PAR1": "is a Parquet file: write it as JSON lines, as by pandas' to_json(orient='records', "
    "lines=True)",
    b"7z\xbc\xaf": "is a 7z archive: unpack it",
}
LONE_RETURN = "holds a lone carriage return; save the file with Unix line ends"
"""What is wrong with a line that only very old editors end there."""
DAMAGE = (EOFError, zlib.error, lzma.LZMAError, ValueError)


def numbered_lines(path: Path, notes: Notes | None = None) -> Iterator[tuple[int, str]]:
    """Yield each line that is not blank, with its number (from 1) and without its line end; blank
    ones are counted in `notes`.

    The content says how a file is compressed, whatever its name. Raises DataError when the file
    cannot be read, is not UTF-8, or is damaged.
    """
    number = 0
    kind = ""
    try:
        kind = compression(path)
        with opened(path, kind) as file:
            for number, data in enumerate(file, 1):
                line = _decoded(path, number, data)
                if line.strip():
                    yield number, line
                elif notes is not None:
                    notes.add(Code.BLANK_LINES, 1, file=path.name)
    except (*DAMAGE, OSError) as error:
        raise _unreadable(path, number, kind, error) from error


def content(path: Path) -> bytes:
    """Return the file's bytes, uncompressed. Raises DataError when it cannot be read, is damaged,
    or is a kind of file that is no text.
    """
    kind = ""
    try:
        kind = compression(path)
        with opened(path, kind) as file:
            data: bytes = file.read()
    except (*DAMAGE, OSError) as error:
        raise _unreadable(path, 0, kind, error) from error
    return data


def count_lines(path: Path) -> int:
    """Return how many lines of a file hold something, counted without parsing them."""
    with opened(path, compression(path)) as file:
        return sum(not line.isspace() for line in file)


def compression(path: Path) -> str:
    """Return how a file is compressed; empty where it is not.

    Raises DataError for a kind of file that holds no lines.
    """
    with path.open("rb") as file:
        head = file.read(8)
    for magic, problem in FOREIGN.items():
        if head.startswith(magic):
            raise DataError(f"{path}: {problem}")
    kind = next((kind for magic, kind in COMPRESSIONS.items() if head.startswith(magic)), "")
    named = NAMED.get(path.suffix, "")
    if head and named and kind != named:
        problem = f"not a whole {named} file (it does not begin as one)"
        raise DataError.at(
            path, 1, f"{problem}; copy or download it again, or drop '{path.suffix}'"
        )
    return kind


def opened(path: Path, kind: str) -> Any:
    """Return the file's bytes as a stream, uncompressed."""
    if kind == "gzip":
        return gzip.open(path, "rb")
    if kind == "bzip2":
        return bz2.open(path, "rb")
    if kind == "xz":
        return lzma.open(path, "rb")
    if kind == "zstandard":
        import io

        import pyarrow as pa

        return io.BufferedReader(pa.CompressedInputStream(path, "zstd"))
    return path.open("rb")


def _unreadable(path: Path, number: int, kind: str, error: Exception) -> DataError:
    """Return the error for a file that could be read up to a line, and no further."""
    # Python's gzip and bz2 report damage as an OSError without a number
    if not isinstance(error, OSError) or (kind and error.errno is None):
        return DataError.at(
            path,
            number + 1,
            f"not a whole {kind or 'text'} file ({error}); copy or download it again",
        )
    if path.is_dir():
        return DataError(f"{path}: is a folder, and a file is expected under this name")
    return DataError(f"{path}: cannot be read: {error.strerror or error}")


def _decoded(path: Path, number: int, data: bytes) -> str:
    try:
        line = data.decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError as error:
        place = f"byte 0x{data[error.start]:02x} at column {error.start + 1}"
        raise DataError.at(
            path, number, f"not valid UTF-8 ({place}); save the file as UTF-8"
        ) from error
    # files joined by `cat` have such a mark in their middle
    return line.lstrip("\ufeff")


def id_problem(value: str) -> str | None:
    """Return why a string cannot serve as an id: TREC files separate their columns by white
    space. None where it can.
    """
    if not value:
        return "is empty"
    if value.split() != [value]:
        return "contains white space, which TREC qrels and run files cannot carry"
    if "\0" in value:
        return "holds a null character, at which trec_eval ends a text"
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        return "holds half a character (a lone surrogate)"
    return None
