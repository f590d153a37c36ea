"""Folders of the cache that can be made again, such as indexes and exported models: whole and as
they were written, or made anew.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.core.atomic import whole_folder
from bench.core.cache_dir import make_folder, set_aside
from bench.core.digest import file_digest
from bench.core.json_file import read_json

MANIFEST = "manifest.sha256"
"""JSON, under a name that is no part of a model: its identity is the hash of its .json files and
weights.
"""


def is_intact(folder: Path) -> bool:
    """Return whether every file of the folder has the digest that its manifest gives; not so
    without a manifest.

    Raises OSError where a file cannot be read: it may belong to somebody else.
    """
    try:
        manifest = read_json(folder / MANIFEST)
        digests = dict(manifest)
        return bool(digests) and all(
            file_digest(folder / name) == digest for name, digest in digests.items()
        )
    except (
        FileNotFoundError,
        NotADirectoryError,
        IsADirectoryError,
        ValueError,
        TypeError,
    ):
        return False


def keep(folder: Path, make: Callable[[Path], object]) -> None:
    """Put the folder that `make` fills in its place, with the digests of its files.

    A damaged one there goes; of two processes that make the same one, the first wins. Raises
    OSError where it cannot be written.
    """
    make_folder(folder.parent)
    with whole_folder(folder) as new:
        make(new)
        seal(new)
        if folder.exists() and not is_intact(folder):
            shutil.rmtree(set_aside(folder), ignore_errors=True)


def seal(folder: Path) -> None:
    """Write the digests of a folder's files into it: from then on it is intact."""
    digests = {
        path.relative_to(folder).as_posix(): file_digest(path)
        for path in sorted(folder.rglob("*"))
        # of a copied folder the manifest is there, and written anew
        if path.is_file() and path != folder / MANIFEST
    }
    (folder / MANIFEST).write_text(json.dumps(digests), encoding="utf-8")


def folder_size(folder: Path) -> int:
    """Return the bytes that the files of a folder take, what says that it is whole among them."""
    return sum(path.stat().st_size for path in folder.iterdir())


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Have other processes that want the same folder wait while the block runs.

    Where a file system has no locks, none of them waits.
    """
    from filelock import FileLock

    lock = None
    try:
        make_folder(folder.parent)
        lock = FileLock(folder.with_suffix(".lock"), mode=0o666)
        lock.acquire()
    except (OSError, NotImplementedError):  # another user's lock, or a file system without any
        lock = None
    try:
        yield
    finally:
        if lock is not None:
            lock.release()
