"""Files that are whole or not there: written under a temporary name in the same folder, synced, renamed."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from bench.errors import BenchError


def write_atomically(path: Path, data: bytes) -> None:
    """Replace `path` by `data`. A kill at any moment leaves the old file or the new one.

    Raises BenchError when the file cannot be written (disk full, no permission); the temporary file is removed.
    """
    temporary = ""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        _sync_folder(path.parent)
    except OSError as error:
        if temporary:
            Path(temporary).unlink(missing_ok=True)
        raise BenchError(f"{path}: cannot be written: {error.strerror or error}") from error


def _sync_folder(folder: Path) -> None:
    """Make the rename itself durable, where the system can sync a folder."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
