"""How a Python process of our own is started: one that finds the modules that this one finds."""

from __future__ import annotations

import os
import sys
from pathlib import Path

ROOT = str(Path(__file__).parents[2])


def command(module: str) -> list[str]:
    """Return the command that runs a module. The working folder is no place for modules there:
    somebody's bench.py may lie in it.
    """
    return [sys.executable, "-P", "-m", module]


def environment() -> dict[str, str]:
    """Return this process's environment, in which Python looks for modules where this one does."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(_places())}


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
