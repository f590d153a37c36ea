"""Reading text files that people made: plain or gzipped, any line end, with or without a byte order mark."""

from __future__ import annotations

import gzip
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from bench.errors import DataError

Notes = Counter[str]
"""What was skipped or found odd while reading, and how often."""


def numbered_lines(path: Path, notes: Notes | None = None) -> Iterator[tuple[int, str]]:
    """Each line that is not blank, with its number (from 1) and without its line end; blank ones are counted in `notes`.

    Raises DataError when the file cannot be read, is not UTF-8, or is a damaged gzip file.
    """
    number = 0
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
            for number, data in enumerate(file, 1):
                line = _decoded(path, number, data)
                if line.strip():
                    yield number, line
                elif notes is not None:
                    notes[f"blank lines skipped in {path.name}"] += 1
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError.at(path, number + 1, f"not a whole gzip file ({error}); copy or download it again") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error


def _decoded(path: Path, number: int, data: bytes) -> str:
    try:
        line = data.decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError as error:
        found = f"byte 0x{data[error.start]:02x} at column {error.start + 1}"
        raise DataError.at(path, number, f"not valid UTF-8 ({found}); save the file as UTF-8") from error
    return line.removeprefix("\ufeff") if number == 1 else line


def id_problem(value: str) -> str | None:
    """Why a string cannot serve as an id: TREC files separate their columns by white space."""
    if not value:
        return "is empty"
    if value.split() != [value]:
        return "contains white space, which TREC qrels and run files cannot carry"
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        return "holds half a character (a lone surrogate)"
    return None


def told(notes: Notes) -> tuple[str, ...]:
    """Notes as warnings of one line each."""
    return tuple(f"{text}: {count}" for text, count in notes.items() if count)
