"""Where downloads, indices and scores are kept between runs: one folder, in the place the platform
has for caches.
"""

from __future__ import annotations

import os
import stat
import sys
from itertools import count
from pathlib import Path

from bench.core.errors import BenchError

VARIABLE = "RERANK_BENCH_CACHE"
DAMAGED = ".damaged"
"""What is added to the name of a file that cannot be what it was written as."""


def cache_dir(*parts: str) -> Path:
    """The cache folder, or one below it. The folder is not made here.

    RERANK_BENCH_CACHE names it; else it is `rerank-bench` in the platform's place for caches:
    LOCALAPPDATA on Windows, ~/Library/Caches on macOS, XDG_CACHE_HOME or ~/.cache elsewhere. Raises
    BenchError where a user without a home folder has named none.
    """
    chosen = os.environ.get(VARIABLE)
    try:
        folder = Path(chosen).expanduser() if chosen else _platform_caches() / "rerank-bench"
    except RuntimeError as error:
        raise BenchError(f"no home folder to keep caches in: set {VARIABLE} to a folder") from error
    return folder.joinpath(*parts)


def make_folder(path: Path) -> None:
    """Make a folder of the cache and those above it. Below a cache folder that its group, or
    everybody, may write to, they may write to the new ones too: users who share a cache all add to
    it. Raises OSError.
    """
    if path.is_dir():
        return
    root = cache_dir()
    if path == root or root not in path.parents:
        path.mkdir(parents=True, exist_ok=True)
        return
    make_folder(path.parent)
    path.mkdir(exist_ok=True)
    mode, above = path.stat().st_mode, path.parent.stat().st_mode
    shared = above & stat.S_IRWXG if above & stat.S_IWGRP else 0
    shared |= above & stat.S_IRWXO if above & stat.S_IWOTH else 0
    if shared & ~mode:
        path.chmod(stat.S_IMODE(mode) | shared)


def set_aside(path: Path) -> Path:
    """Rename a damaged file or folder to the first free of `NAME.damaged`, `NAME.damaged-2`, ...
    and return that. Raises OSError.
    """
    names = (f"{path.name}{DAMAGED}{f'-{i}' if i > 1 else ''}" for i in count(1))
    target = next(target for name in names if not os.path.lexists(target := path.with_name(name)))
    path.rename(target)
    return target


def _platform_caches() -> Path:
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA")
        return Path(local) if local else Path.home() / "AppData" / "Local"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    xdg = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    return (
        xdg if xdg.is_absolute() else Path.home() / ".cache"
    )  # the XDG specification ignores relative paths
