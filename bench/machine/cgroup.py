"""Limits that Linux's control groups, and so containers, set on this process, and how often they
stopped it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

NO_LIMIT = 1 << 60
"""Bytes from which a limit of memory is none."""


def control_groups(
    controller: str, root: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")
) -> list[Path]:
    """Return this process's control group and those around it, of version 2 (one tree) and version
    1 (a tree per controller).

    A limit may be set on any of them. In a container the innermost one is often mounted as the
    root, whatever its name outside.
    """
    folders = [root, root / controller]
    for line in (read(own) or "").splitlines():
        number, controllers, path = [*line.split(":", 2), "", ""][:3]
        if number == "0" or controller in controllers.split(","):
            # version 2 names no controllers
            tree = root
            if controllers:
                tree = root / controller
            names = path.strip("/").split("/")
            folders += [tree.joinpath(*names[:depth]) for depth in range(1, len(names) + 1)]
    return folders


def cpu_quota(folders: Sequence[Path]) -> float | None:
    """Return the CPUs that the tightest of these control groups allows, None without a limit."""
    quotas = []
    for folder in folders:
        parts = (read(folder / "cpu.max") or "").split()
        if len(parts) != 2:
            parts = [read(folder / f"cpu.cfs_{name}_us") or "" for name in ("quota", "period")]
        try:
            quota, period = (float(part) for part in parts)
        except ValueError:
            continue
        if quota > 0 and period > 0:
            quotas.append(quota / period)
    return min(quotas, default=None)


def memory_limit(folders: Sequence[Path]) -> int | None:
    """Return the bytes that the tightest of these control groups allows, None without a limit."""
    limits = []
    for folder in folders:
        for name in ("memory.max", "memory.limit_in_bytes"):
            text = (read(folder / name) or "").strip()
            # version 1 has no word for "no limit": it names a number beyond all sense
            if text.isdigit() and int(text) < NO_LIMIT:
                limits.append(int(text))
    return min(limits, default=None)


def throttled_seconds(folders: Sequence[Path]) -> float | None:
    """Return the seconds, so far, for which a CPU quota stopped this process's group or one around
    it; None where nobody counts.

    `cpu.stat` of version 2 counts microseconds, that of version 1 nanoseconds; the group that was
    stopped longest speaks for all.
    """
    seconds = []
    for folder in folders:
        text = read(folder / "cpu.stat") or ""
        if version_2 := re.search(r"^throttled_usec (\d+)$", text, re.MULTILINE):
            seconds.append(int(version_2.group(1)) / 1e6)
        elif version_1 := re.search(r"^throttled_time (\d+)$", text, re.MULTILINE):
            seconds.append(int(version_1.group(1)) / 1e9)
    return max(seconds, default=None)


def read(path: str | Path) -> str | None:
    """Return the text of one of the system's files; None where it is not there or not readable."""
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
