"""Paths as people write them in a suite."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

from bench.core.errors import SuiteError

RESERVED = frozenset({"latest", "baselines"})
"""Words that no baseline and no suite is named by: they mean something else where a run is asked
for, or in the folder of runs.
"""


def expanded(text: str) -> Path:
    """Return a path with `~` and `~user` replaced by their home folder.

    Raises SuiteError where there is no such home, or no file can have such a name.
    """
    try:
        path = Path(text).expanduser()
        os.lstat(path)
    except RuntimeError as error:
        raise SuiteError(
            f"{text:.60}: no home folder is known for it; write the whole path"
        ) from error
    except ValueError as error:  # a null character
        raise SuiteError(f"{text[:60]!r} cannot be a path") from error
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise SuiteError(f"{text:.60}... cannot be a path: {error.strerror}") from error
    return path


def beside(text: str, folder: Path) -> str:
    """Return a relative path that is in a folder as an absolute one, other texts unchanged."""
    path = Path(text)
    if path.is_absolute() or not (folder / path).exists():
        return text
    return str((folder / path).resolve())


def files_below(folder: Path, above: tuple[str, ...] = ()) -> Iterator[Path]:
    """Yield every file below a folder, also behind links to folders, which `rglob` leaves out; a
    link to a folder that it lies in (one of `above`) has nothing of its own.
    """
    place = os.path.realpath(folder)
    if place in above:
        return
    try:
        paths = sorted(folder.iterdir())
    except PermissionError:
        return
    for path in paths:
        if path.is_dir():
            yield from files_below(path, (*above, place))
        elif path.is_file():
            yield path
