"""Entries of a suite whose file is in another folder."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def moved(value: Any, base_dir: Path, out: Path) -> Any:
    """Return plain data with relative paths that lead to a file or folder of the suite as they are
    seen from another folder.
    """
    if isinstance(value, Mapping):
        return {
            _path(key, base_dir, out): moved(inner, base_dir, out) for key, inner in value.items()
        }
    if isinstance(value, list | tuple):
        return [moved(inner, base_dir, out) for inner in value]
    if isinstance(value, str):
        return _path(value, base_dir, out)
    return value


def _path(word: str, base_dir: Path, out: Path) -> str:
    kind = "files:" if word.startswith("files:") else ""
    path, hash_, split = word.removeprefix(kind).partition("#")
    is_path = kind or "/" in path
    if not is_path or Path(path).is_absolute() or not (base_dir / path).exists():
        return word
    relative = os.path.relpath((base_dir / path).resolve(), out.resolve())
    return f"{kind}{Path(relative).as_posix()}{hash_}{split}"
