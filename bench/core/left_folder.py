"""A temporary folder for the files of other processes, which is removed also where this process is
killed: nobody else would.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from tempfile import TemporaryDirectory

_REMOVE = """
import os, pathlib, shutil, sys, time
if os.name == "posix" and os.fork():
    os._exit(0)
if sys.stdin.read():
    os._exit(0)
absent = 0
end = time.monotonic() + 60
while absent < 10 and time.monotonic() < end:
    shutil.rmtree(sys.argv[1], ignore_errors=True)
    absent = 0 if pathlib.Path(sys.argv[1]).exists() else absent + 1
    time.sleep(0.5)
"""
"""Waits until its owner says that all is done, or has ended without a word: then it removes a
folder, for a minute at most. Those who wrote into it may take some seconds to end, too. It is
nobody's child: what kills its owner may kill the owner's children with it.
"""


@contextmanager
def left_folder(prefix: str, place: str) -> Iterator[str]:
    """Yield a new folder, which is removed when the block or this process ends."""
    temporary = TemporaryDirectory(prefix=prefix, dir=place, ignore_cleanup_errors=True)
    remover = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", _REMOVE, temporary.name],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        text=True,
        # an interrupt at the terminal is for this process
        start_new_session=True,
    )
    try:
        yield temporary.name
    finally:
        temporary.cleanup()
        with suppress(OSError):
            remover.communicate("done")
