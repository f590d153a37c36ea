"""What decides something, as a digest: equal data give equal digests, whatever the order of their
names.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any


def digest_of(data: object) -> str:
    """Return the SHA-256 of data, in hex digits.

    What JSON does not know counts by its text, arrays and tensors by all of their values: their
    text leaves out the middle of a large one.
    """
    return hashlib.sha256(json.dumps(data, sort_keys=True, default=_plain).encode()).hexdigest()


def short_digest(fields: Mapping[str, Any]) -> str:
    """Return the first 16 hex digits of the SHA-256 of fields, whatever their order: what a key has
    as its hash.
    """
    text = json.dumps(fields, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hex digits: computed once per process while the file
    is not written to. Raises OSError.
    """
    stat = path.stat()
    return _file_digest(os.path.abspath(path), stat.st_size, stat.st_mtime_ns, stat.st_ino)


@lru_cache(maxsize=4096)
def _file_digest(path: str, size: int, mtime_ns: int, inode: int) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _plain(value: Any) -> str:
    if hasattr(value, "detach"):  # a tensor
        value = value.detach().cpu().numpy()
    if hasattr(value, "tobytes") and hasattr(value, "dtype"):
        return f"{value.dtype} {value.shape} {hashlib.sha256(value.tobytes()).hexdigest()}"
    return str(value)
