"""What the control groups of Linux, and so every container, allow this process, and how often they
stopped it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path


def control_groups(
    controller: str, root: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")
) -> list[Path]:
    """This process's control group and those around it, version 2 (one tree) and version 1 (a tree
    per controller).

    A limit may be set on any of them. In a container the innermost one is often mounted as the
    root, whatever its name outside.
    """
    folders = [root, root / controller]
    for line in (read(own) or "").splitlines():
        number, controllers, path = [*line.split(":", 2), "", ""][:3]
        if number == "0" or controller in controllers.split(","):
            tree = root / controller if controllers else root
            names = path.strip("/").split("/")
            folders += [tree.joinpath(*names[:depth]) for depth in range(1, len(names) + 1)]
    return folders


def cpu_quota(folders: Sequence[Path]) -> float | None:
    """CPUs that the tightest of these control groups allows, or None without a limit."""
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
    """Bytes that the tightest of these control groups allows, or None without a limit (version 1
    then names a number beyond all sense).
    """
    texts = [
        read(folder / name) or ""
        for folder in folders
        for name in ("memory.max", "memory.limit_in_bytes")
    ]
    return min(
        (int(text) for text in texts if text.strip().isdigit() and int(text) < 1 << 60),
        default=None,
    )


def throttled_seconds(folders: Sequence[Path]) -> float | None:
    """Seconds, so far, for which a CPU quota stopped this process's group or one around it; None
    where nobody counts.

    `cpu.stat` of version 2 counts microseconds, that of version 1 nanoseconds; the group that was
    stopped longest speaks for all.
    """
    found = []
    for folder in folders:
        text = read(folder / "cpu.stat") or ""
        if version_2 := re.search(r"^throttled_usec (\d+)$", text, re.MULTILINE):
            found.append(int(version_2.group(1)) / 1e6)
        elif version_1 := re.search(r"^throttled_time (\d+)$", text, re.MULTILINE):
            found.append(int(version_1.group(1)) / 1e9)
    return max(found, default=None)


def read(path: str | Path) -> str | None:
    """The text of one of the system's files, or None where there is none or it may not be read."""
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
