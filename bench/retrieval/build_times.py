"""What building an index took, kept for those who open it later. It is next to the cache's folders
and not in them: an index that is built again is the same, byte by byte, and took another time.
"""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

from bench.core.atomic import write_atomically
from bench.core.cache_dir import cache_dir, make_folder
from bench.core.errors import BenchError
from bench.core.json_file import read_json


def keep_seconds(folder: Path, seconds: float) -> None:
    """Keep what building the index of a folder took, where the cache can be written."""
    path = _path(folder)
    with suppress(OSError, BenchError):
        make_folder(path.parent)
        write_atomically(path, json.dumps({"seconds": seconds}).encode())


def seconds_of(folder: Path) -> float | None:
    """Return what building the index of a folder took; None where that is not known."""
    try:
        return float(read_json(_path(folder))["seconds"])
    except (OSError, ValueError, TypeError, KeyError, OverflowError):
        return None


def _path(folder: Path) -> Path:
    return cache_dir("build-times", folder.parent.name, f"{folder.name}.json")
