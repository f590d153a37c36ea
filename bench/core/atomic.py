"""Files and folders that are whole or not there: written next to their place, synced, renamed.
Modes follow the umask.
"""

from __future__ import annotations

import ctypes
import errno
import os
import re
import secrets
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from bench.core.errors import BenchError

READER_WAIT_S = 5.0
"""Seconds that a named pipe may be without a reader before writing to it is given up."""
_TEMPORARY = re.compile(r"\.[0-9a-f]{16}\.tmp")
_BUILDING = ".building-"
_STANDARD = re.compile(r"/dev/(?:fd/(?P<number>\d+)|(?P<name>stdout|stderr))")
_AT_FDCWD = -100
_RENAME_EXCHANGE = 2


def write_atomically(path: Path, data: bytes) -> None:
    """Replace `path` by `data`. A kill at any moment leaves the old file or the new one.

    Raises BenchError when the file cannot be written (disk full, no permission); the temporary file
    is removed.
    """
    with whole_file(path) as file:
        file.write(data)


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """Yield a file that replaces `path` when the block ends well, and is removed otherwise.

    What a link points at is replaced, and the link stays. A device or a pipe is written to as it
    is. Raises BenchError as above.
    """
    try:
        if _is_stream(path):
            with _stream(path) as file:
                yield file
        else:
            with _replacement(Path(os.path.realpath(path))) as file:
                yield file
    except OSError as error:
        raise BenchError(f"{path}: cannot be written: {error.strerror or error}") from error


@contextmanager
def whole_folder(path: Path, *, replace: bool = False) -> Iterator[Path]:
    """Yield a path next to `path` at which to make a folder, which is renamed when the block ends
    well.

    Of two processes that make the same folder, the first wins, unless `replace`: then it takes the
    place of the folder that is there, in one step where the system can, and else so that
    `restore_folder` brings one of the two back. Raises OSError where it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    workplace = Path(tempfile.mkdtemp(dir=path.parent, prefix=_BUILDING))
    try:
        folder = workplace / path.name
        folder.mkdir()
        yield folder
        for file in folder.rglob("*"):
            _sync(file)
        try:
            folder.rename(path)
        except OSError:
            if not path.is_dir():
                raise
            if replace:
                _exchange(folder, path)
        _sync_folder(path.parent)
    finally:
        shutil.rmtree(workplace, ignore_errors=True)


def restore_folder(path: Path) -> None:
    """Put back what `whole_folder(path, replace=True)` had moved aside when it was killed, on a
    system that cannot exchange folders.
    """
    if not path.exists() and _aside(path).is_dir():
        _aside(path).rename(path)


def clear_remains(folder: Path, *, below: bool = False, idle_s: float = 0.0) -> None:
    """Remove the temporary files that killed processes have left in a folder, and in those `below`
    it: those that nobody has written to for `idle_s` seconds. Without them nobody else may write
    there meanwhile. Raises OSError where one cannot be removed.
    """
    paths = folder.glob(".*.tmp")
    if below:
        paths = folder.rglob(".*.tmp")
    until = time.time() - idle_s
    for path in list(paths):
        if not _TEMPORARY.fullmatch(path.name):
            continue
        with suppress(FileNotFoundError):
            if not idle_s or path.stat().st_mtime < until:
                path.unlink()


def clear_building(path: Path) -> None:
    """Remove what killed processes have left of `whole_folder(path)`. Nobody else may make the
    folder meanwhile.
    """
    for workplace in list(path.parent.glob(f"{_BUILDING}*")):
        if (workplace / path.name).is_dir():
            shutil.rmtree(workplace, ignore_errors=True)


@contextmanager
def _replacement(path: Path) -> Iterator[BinaryIO]:
    path.parent.mkdir(parents=True, exist_ok=True)
    # a short name of its own: that of `path` may be as long as names can be
    temporary = path.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        handle = os.open(
            temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666
        )
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        _sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _is_stream(path: Path) -> bool:
    """Return whether `path` is a device, a pipe, a socket, or the name of an open file of this
    process.
    """
    if _STANDARD.fullmatch(str(path)):
        return True
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def _stream(path: Path) -> BinaryIO:
    if standard := _STANDARD.fullmatch(str(path)):
        sys.stdout.flush()
        # the same open file, so that what was printed before is not written over
        number = int(standard["number"] or {"stdout": 1, "stderr": 2}[standard["name"]])
        return os.fdopen(os.dup(number), "wb")
    if path.is_fifo():
        return os.fdopen(_open_pipe(path), "wb")
    return path.open("wb")


def _open_pipe(path: Path) -> int:
    """Return the handle of a named pipe that some process reads.

    Raises OSError when none does within READER_WAIT_S.
    """
    deadline = time.monotonic() + READER_WAIT_S
    while True:
        try:
            handle = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            if time.monotonic() > deadline:
                raise OSError(errno.ENXIO, "no process reads from this pipe") from error
            time.sleep(0.05)
            continue
        os.set_blocking(handle, True)
        return handle


def _exchange(new: Path, old: Path) -> None:
    """Swap two folders. A kill at any moment leaves the old one or the new one at its place."""
    try:
        library = ctypes.CDLL(None, use_errno=True)
        names = (_AT_FDCWD, os.fsencode(new), _AT_FDCWD, os.fsencode(old), _RENAME_EXCHANGE)
        swapped = library.renameat2(*names) == 0
    except (AttributeError, TypeError):  # not Linux
        swapped = False
    if not swapped:
        aside = _aside(old)
        shutil.rmtree(aside, ignore_errors=True)
        old.rename(aside)
        new.rename(old)
        shutil.rmtree(aside, ignore_errors=True)


def _aside(path: Path) -> Path:
    return path.with_name(f".{path.name}.old")


def _sync_folder(path: Path) -> None:
    """Make the renames in a folder durable, where the system can: some file systems refuse to sync
    a folder, and some folders may be written and not read.
    """
    with suppress(OSError):
        _sync(path)


def _sync(path: Path) -> None:
    """Make a file's contents durable."""
    if os.name != "posix":
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
