"""How much memory a model could still take, here or on an accelerator."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from bench.machine.cgroup import control_groups, memory_limit, read


def available_bytes(device: str = "cpu") -> int | None:
    """Bytes that are free on a device of torch, for the CPU within the limits of the process's
    control groups.
    """
    if device.startswith("cuda"):
        import torch

        return int(torch.cuda.mem_get_info(device)[0])
    import psutil

    return min([int(psutil.virtual_memory().available), *limited_bytes(control_groups("memory"))])


def limited_bytes(folders: Sequence[Path]) -> list[int]:
    """What each of these control groups leaves. Files in the page cache that nobody uses do not
    count: they give way.
    """
    rooms = []
    for folder in folders:
        limit = memory_limit([folder])
        used = next(
            (
                text
                for name in ("memory.current", "memory.usage_in_bytes")
                if (text := read(folder / name) or "").strip()
            ),
            "",
        )
        if limit is not None and used.strip().isdigit():
            cached = re.search(
                r"^(?:total_)?inactive_file (\d+)$",
                read(folder / "memory.stat") or "",
                re.MULTILINE,
            )
            rooms.append(max(0, limit - int(used) + (int(cached.group(1)) if cached else 0)))
    return rooms
