"""The processor: what it is, how fast it may run, and whether it had to slow down.

The trees of /proc and /sys can be others, for tests.
"""

from __future__ import annotations

import platform
import re
import subprocess
import sys
from pathlib import Path
from typing import TypedDict

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
PROC = Path("/proc")
SYS = Path("/sys")


class CpuFacts(TypedDict):
    """The processor, as a record holds it. None where the system does not say."""

    cpu: str | None
    cpu_flags: list[str] | None
    """Those of FLAGS that it has."""
    virtual: bool | None
    """Whether a hypervisor lies in between."""
    cpu_max_mhz: float | None
    cpu_governor: str | None


def facts(proc: Path = PROC, sys_: Path = SYS) -> CpuFacts:
    """Return model, instruction sets that matter to a matrix product, and the highest clock."""
    info = read(proc / "cpuinfo") or ""
    flags = _flags(info)
    fastest = max(_counts(sys_, "cpufreq/cpuinfo_max_freq"), default=None)
    governors = {(read(path / "cpufreq/scaling_governor") or "").strip() for path in _cpus(sys_)}
    return {
        "cpu": _model(info),
        "cpu_flags": instructions(proc),
        "virtual": "hypervisor" in flags if flags else None,
        "cpu_max_mhz": None if fastest is None else fastest / 1000,
        "cpu_governor": "+".join(sorted(governors - {""})) or None,
    }


def instructions(proc: Path = PROC) -> list[str] | None:
    """Return those of FLAGS that this CPU has; None where the system does not say."""
    flags = _flags(read(proc / "cpuinfo") or "")
    if not flags:
        return None
    return [flag for flag in FLAGS if flag in flags]


def clock_mhz(sys_: Path = SYS) -> float | None:
    """Return the mean clock of all cores at this moment; None where the system does not say."""
    clocks = _counts(sys_, "cpufreq/scaling_cur_freq")
    if not clocks:
        return None
    return sum(clocks) / len(clocks) / 1000


def thermal_throttles(sys_: Path = SYS) -> int | None:
    """Return how often cores or their package were slowed down for heat since the system started;
    None where it does not count (only Intel's do).
    """
    counts = [
        *_counts(sys_, "thermal_throttle/core_throttle_count"),
        *_counts(sys_, "thermal_throttle/package_throttle_count"),
    ]
    if not counts:
        return None
    return sum(counts)


def _cpus(sys_: Path) -> list[Path]:
    return sorted((sys_ / "devices/system/cpu").glob("cpu[0-9]*"))


def _counts(sys_: Path, name: str) -> list[int]:
    """Return the whole number in a file of each core that has it."""
    counts = []
    for path in _cpus(sys_):
        text = (read(path / name) or "").strip()
        if text.isdigit():
            counts.append(int(text))
    return counts


def _flags(info: str) -> list[str]:
    return (_field(info, "flags|Features") or "").split()


def _model(info: str) -> str | None:
    if model := _field(info, "model name"):
        return model
    # on ARM only lscpu knows the name
    if model := _field(command("lscpu") or "", "model name"):
        return model
    if sys.platform == "darwin":
        return command("sysctl", "-n", "machdep.cpu.brand_string")
    return platform.processor() or None


def _field(text: str, name: str) -> str | None:
    match = re.search(rf"^(?:{name})\s*:\s*(.+)$", text, re.MULTILINE | re.IGNORECASE)
    if match is None:
        return None
    return match.group(1).strip()


def command(*words: str) -> str | None:
    """Return what a command of the system prints; None where it is not there or fails."""
    try:
        result = subprocess.run(words, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return result.stdout.strip() or None
