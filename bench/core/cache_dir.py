"""The folder of downloads, indices and scores between runs, in the place the platform has for
caches.
"""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

from bench.core.errors import BenchError

VARIABLE = "RERANK_BENCH_CACHE"
DAMAGED = ".damaged"
"""What is added to the name of a file that cannot be what it was written as."""


def cache_dir(*parts: str) -> Path:
    """Return the cache folder, or one below it. The folder is not made here.

    RERANK_BENCH_CACHE names it; else it is `rerank-bench` in the platform's place for caches:
    LOCALAPPDATA on Windows, ~/Library/Caches on macOS, XDG_CACHE_HOME or ~/.cache elsewhere. Raises
    BenchError where a user without a home folder has named none.
    """
    try:
        return _root().joinpath(*parts)
    except RuntimeError as error:
        raise BenchError(f"no home folder to keep caches in: set {VARIABLE} to a folder") from error


def make_folder(path: Path) -> None:
    """Make a folder of the cache and those above it.

    Below a cache folder that its group, or everybody, may write to, they may write to the new ones
    too: users who share a cache all add to it. Raises OSError.
    """
    if path.is_dir():
        return
    root = cache_dir()
    if path == root or root not in path.parents:
        path.mkdir(parents=True, exist_ok=True)
        return
    make_folder(path.parent)
    path.mkdir(exist_ok=True)
    mode = path.stat().st_mode
    above = path.parent.stat().st_mode
    shared = 0
    if above & stat.S_IWGRP:
        shared |= above & stat.S_IRWXG
    if above & stat.S_IWOTH:
        shared |= above & stat.S_IRWXO
    if shared & ~mode:
        path.chmod(stat.S_IMODE(mode) | shared)


def set_aside(path: Path) -> Path:
    """Rename a damaged file or folder to the first free of `NAME.damaged`, `NAME.damaged-2`, ...
    and return that. Raises OSError.
    """
    target = path.with_name(f"{path.name}{DAMAGED}")
    number = 1
    while os.path.lexists(target):
        number += 1
        target = path.with_name(f"{path.name}{DAMAGED}-{number}")
    path.rename(target)
    return target


def _root() -> Path:
    """Return the cache folder. Raises RuntimeError where the home folder is not known."""
    folder = os.environ.get(VARIABLE)
    if folder:
        return Path(folder).expanduser()
    return _platform_caches() / "rerank-bench"


def _platform_caches() -> Path:
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA")
        if local:
            return Path(local)
        return Path.home() / "AppData" / "Local"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    folder = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    # the XDG specification ignores relative paths
    if not folder.is_absolute():
        return Path.home() / ".cache"
    return folder
