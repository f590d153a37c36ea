"""How a Python process of our own is started: one that finds the modules that this one finds."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

ROOT = str(Path(__file__).parents[2])


def command(module: str) -> list[str]:
    """Return the command that runs a module. The working folder is no place for modules there:
    somebody's bench.py may lie in it.
    """
    return [sys.executable, "-P", "-m", module]


def environment() -> dict[str, str]:
    """Return this process's environment, in which Python looks for modules where this one does."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(_places())}


def start(module: str, errors: IO[Any], **options: Any) -> subprocess.Popen[str]:
    """Return a process that runs a module, and reads text from a pipe. `errors` is a file: a pipe
    that nobody reads would stop a process that prints much, and one that is read to its end is held
    open by whatever the process leaves.
    """
    return subprocess.Popen(
        command(module),
        stdin=subprocess.PIPE,
        stderr=errors,
        text=True,
        encoding="utf-8",
        # what the process starts ends with it: they are one group
        start_new_session=True,
        **options,
    )


def end(process: subprocess.Popen[str]) -> None:
    """End a process of `start`, whatever it is at, and those that it has started."""
    # a group whose processes have all ended is none, or on macOS one that nobody may end
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.wait()


def last_line(text: str) -> str:
    """Return the last line that a process has written, or that it wrote none."""
    lines = text.strip().splitlines()
    if not lines:
        return "it said nothing"
    return lines[-1]


def _places() -> list[str]:
    """Return where the process looks for modules. An editable installation is not among sys.path: a
    finder of its own knows it, and asks after the folders, among which the working folder may be.
    """
    places = [entry for entry in sys.path if entry]
    if ROOT in places:
        return places
    return [ROOT, *places]
