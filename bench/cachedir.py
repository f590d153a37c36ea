"""Where downloads, indices and scores are kept between runs: one folder, in the place the platform has for caches."""

from __future__ import annotations

import os
import sys
from pathlib import Path

VARIABLE = "RERANK_BENCH_CACHE"


def cache_dir(*parts: str) -> Path:
    """The cache folder, or one below it. The folder is not made here.

    RERANK_BENCH_CACHE names it; else it is `rerank-bench` in the platform's place for caches: LOCALAPPDATA on Windows, ~/Library/Caches
    on macOS, XDG_CACHE_HOME or ~/.cache elsewhere.
    """
    chosen = os.environ.get(VARIABLE)
    return (Path(chosen).expanduser() if chosen else _platform_caches() / "rerank-bench").joinpath(*parts)


def _platform_caches() -> Path:
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA")
        return Path(local) if local else Path.home() / "AppData" / "Local"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    xdg = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    return xdg if xdg.is_absolute() else Path.home() / ".cache"  # the XDG specification ignores relative paths
