"""Files that are whole or not there: written under a temporary name in the same folder, synced, renamed."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from bench.errors import BenchError


def write_atomically(path: Path, data: bytes) -> None:
    """Replace `path` by `data`. A kill at any moment leaves the old file or the new one.

    Raises BenchError when the file cannot be written (disk full, no permission); the temporary file is removed.
    """
    with whole_file(path) as file:
        file.write(data)


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A file to write to, which replaces `path` when the block ends well and is removed otherwise. Raises BenchError as above."""
    temporary = ""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        temporary = ""
        _sync(path.parent)
    except OSError as error:
        raise BenchError(f"{path}: cannot be written: {error.strerror or error}") from error
    finally:
        if temporary:
            Path(temporary).unlink(missing_ok=True)


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """A path beside `path` at which to make a folder; when the block ends well it is synced and renamed. Of two processes that make the
    same folder, the first wins. Raises OSError where it cannot be written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(dir=path.parent, prefix=".building-"))
    try:
        made = beside / path.name
        made.mkdir()
        yield made
        for file in made.rglob("*"):
            _sync(file)
        try:
            made.rename(path)
        except OSError:
            if not path.is_dir():
                raise
        _sync(path.parent)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _sync(path: Path) -> None:
    """Make a file's contents, or the renames in a folder, durable; a folder only where the system can."""
    if os.name != "posix":
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
