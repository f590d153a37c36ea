"""Other processes, and waiting for what they do."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

SECONDS = 90
"""Within which what is waited for happens, also on a busy machine."""


def heed_interrupts() -> None:
    """Of a process that begins: shells have what they run in the background, such as these tests,
    ignore Ctrl-C, and its children inherit that.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def wait_for(condition: Callable[[], bool]) -> bool:
    """Return whether a condition comes true."""
    until = time.monotonic() + SECONDS
    while not condition() and time.monotonic() < until:
        time.sleep(0.05)
    return condition()


def is_running(pid: int) -> bool:
    """Return whether a process is there that has not ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
    return "\nState:\tZ" not in status


def commands_with(word: str) -> dict[int, str]:
    """Return the command lines that hold a word, by process."""
    commands: dict[int, str] = {}
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            line = path.read_bytes().decode(errors="replace")
            if word in line:
                commands[int(path.parent.name)] = line
    return commands
