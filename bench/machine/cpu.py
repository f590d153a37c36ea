"""What the processor is, how fast it may run, and whether it had to slow down. The trees of /proc
and /sys can be others, for tests.
"""

from __future__ import annotations

import platform
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from bench.machine.cgroup import read

_X86 = (
    "avx2",
    "avx512f",
    "avx512_bf16",
    "avx512_fp16",
    "avx512_vnni",
    "avx_vnni",
    "amx_bf16",
    "amx_fp16",
    "amx_int8",
)
FLAGS = (*_X86, "asimd", "asimdhp", "asimddp", "bf16", "sve")
PROC, SYS = Path("/proc"), Path("/sys")


def facts(proc: Path = PROC, sys_: Path = SYS) -> dict[str, Any]:
    """Model, instruction sets that matter to a matrix product, whether a hypervisor lies in
    between, highest clock, and its governor.
    """
    info = read(proc / "cpuinfo") or ""
    flags = _flags(info)
    fastest = [
        int(text)
        for path in _cpus(sys_)
        if (text := (read(path / "cpufreq/cpuinfo_max_freq") or "").strip()).isdigit()
    ]
    governors = sorted(
        {(read(path / "cpufreq/scaling_governor") or "").strip() for path in _cpus(sys_)} - {""}
    )
    return {
        "cpu": _model(info),
        "cpu_flags": instructions(proc),
        "virtual": "hypervisor" in flags if flags else None,
        "cpu_max_mhz": max(fastest) / 1000 if fastest else None,
        "cpu_governor": "+".join(governors) or None,
    }


def instructions(proc: Path = PROC) -> list[str] | None:
    """Those of FLAGS that this CPU has, or None where the system does not tell."""
    flags = _flags(read(proc / "cpuinfo") or "")
    return [flag for flag in FLAGS if flag in flags] if flags else None


def clock_mhz(sys_: Path = SYS) -> float | None:
    """The mean clock of all cores at this moment, where the system tells."""
    found = [
        int(text)
        for path in _cpus(sys_)
        if (text := (read(path / "cpufreq/scaling_cur_freq") or "").strip()).isdigit()
    ]
    return sum(found) / len(found) / 1000 if found else None


def thermal_throttles(sys_: Path = SYS) -> int | None:
    """How often cores or their package have been slowed down for heat since the system started,
    where the system counts (Intel).
    """
    texts = [
        read(path / "thermal_throttle" / name) or ""
        for path in _cpus(sys_)
        for name in ("core_throttle_count", "package_throttle_count")
    ]
    counts = [int(text) for text in texts if text.strip().isdigit()]
    return sum(counts) if counts else None


def _cpus(sys_: Path) -> list[Path]:
    return sorted((sys_ / "devices/system/cpu").glob("cpu[0-9]*"))


def _flags(info: str) -> list[str]:
    return (_field(info, "flags|Features") or "").split()


def _model(info: str) -> str | None:
    for text in (info, command("lscpu")):  # on ARM only lscpu knows the name
        if found := _field(text or "", "model name"):
            return found
    if sys.platform == "darwin":
        return command("sysctl", "-n", "machdep.cpu.brand_string")
    return platform.processor() or None


def _field(text: str, name: str) -> str | None:
    found = re.search(rf"^(?:{name})\s*:\s*(.+)$", text, re.MULTILINE | re.IGNORECASE)
    return found.group(1).strip() if found else None


def command(*words: str) -> str | None:
    """What a command of the system prints, or None where it is not there or fails."""
    try:
        return (
            subprocess.run(
                words, capture_output=True, text=True, timeout=10, check=True
            ).stdout.strip()
            or None
        )
    except (OSError, subprocess.SubprocessError):
        return None
