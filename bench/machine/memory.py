"""The memory that a model could still take, here or on an accelerator."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from bench.machine.cgroup import control_groups, memory_limit, read


def available_bytes(device: str = "cpu") -> int | None:
    """Return the bytes that are free on a device of torch, for the CPU within the limits of the
    process's control groups.
    """
    if device.startswith("cuda"):
        import torch

        return int(torch.cuda.mem_get_info(device)[0])
    import psutil

    return min([int(psutil.virtual_memory().available), *limited_bytes(control_groups("memory"))])


def limited_bytes(folders: Sequence[Path]) -> list[int]:
    """Return the bytes that each of these control groups leaves, as far as it has a limit."""
    rests = []
    for folder in folders:
        limit = memory_limit([folder])
        used = read(folder / "memory.current") or read(folder / "memory.usage_in_bytes") or ""
        if limit is not None and used.strip().isdigit():
            rests.append(max(0, limit - int(used) + _unused_cache(folder)))
    return rests


def _unused_cache(folder: Path) -> int:
    """Return the bytes of files in a group's page cache that nobody uses: they give way."""
    text = read(folder / "memory.stat") or ""
    match = re.search(r"^(?:total_)?inactive_file (\d+)$", text, re.MULTILINE)
    if match is None:
        return 0
    return int(match.group(1))
