"""What the numbers were measured on. Never a host name, a user name or a path: a record can be shared."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from collections.abc import Mapping
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from bench.errors import SuiteError, Unavailable

LIBRARIES = ("torch", "transformers", "sentence-transformers", "tokenizers", "numpy", "ir-measures", "bm25s", "peft")
FLAGS = ("avx2", "avx512f", "avx512_bf16", "avx512_vnni", "amx_bf16", "amx_int8", "asimd", "sve")
SPEED_FIELDS = ("cpu", "cpu_flags", "physical_cores", "usable_cores", "cpu_quota", "threads", "gpu", "driver", "cuda", "os", "libraries")
_DEVICE = re.compile(r"auto|cpu|mps|cuda(:\d+)?")


def is_device_name(name: str) -> bool:
    """Whether a suite may name this device; it need not be here."""
    return _DEVICE.fullmatch(name) is not None


def available_devices() -> list[str]:
    """cpu, and what torch can reach. Without torch, cpu alone."""
    try:
        import torch
    except ImportError:
        return ["cpu"]
    devices = ["cpu"] + [f"cuda:{i}" if i else "cuda" for i in range(torch.cuda.device_count())]
    return [*devices, "mps"] if torch.backends.mps.is_available() else devices


def resolve_device(name: str) -> str:
    """The device behind a name; `auto` is the first GPU, else mps, else cpu. Raises Unavailable for one that is not here."""
    if not is_device_name(name):
        raise SuiteError(f"'{name}' is not a device: auto, cpu, cuda, cuda:N or mps")
    if name == "cpu":
        return name
    devices = available_devices()
    if name == "auto":
        return next((device for device in ("cuda", "mps") if device in devices), "cpu")
    name = "cuda" if name == "cuda:0" else name
    if name not in devices:
        raise Unavailable(f"no {name} device", f"this machine has: {', '.join(devices)}")
    return name


def fingerprint(device: str) -> dict[str, Any]:
    """Hardware, driver, threads and library versions. A fact that the system does not tell is None; nothing raises."""
    return {
        "cpu": _cpu_model(),
        "cpu_flags": _cpu_flags(),
        "physical_cores": _psutil("cpu_count", False),
        "logical_cores": logical_cores(),
        "usable_cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_bytes": getattr(_psutil("virtual_memory"), "total", None),
        "cpu_quota": _cpu_quota(),
        "memory_limit_bytes": _memory_limit(),
        "threads": _threads(),
        **_gpu(device),
        "os": f"{platform.system()} {platform.release().partition('-')[0]} {platform.machine()}",
        "python": platform.python_version(),
        "libraries": _versions(),
    }


def speed_fields(found: Mapping[str, Any]) -> dict[str, Any]:
    """What must agree before two latencies are compared."""
    return {name: found.get(name) for name in SPEED_FIELDS}


def load_average() -> float | None:
    """The one-minute load average, where the system has one."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None


def peak_rss_bytes() -> int | None:
    """The most memory this process has held, in bytes."""
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak if sys.platform == "darwin" else peak * 1024)


def cpu_seconds() -> tuple[float, float] | None:
    """(of this process, of the whole machine) busy CPU seconds so far, or None. Their growth tells how much others took."""
    times = _psutil("cpu_times")
    if times is None:
        return None
    idle = times.idle + getattr(times, "iowait", 0.0)
    own = os.times()
    return own.user + own.system, float(sum(times[:8]) - idle)


def logical_cores() -> int:
    """CPUs that the system schedules on."""
    return os.cpu_count() or 1


def gpu_memory(device: str) -> dict[str, int]:
    """Peak GPU memory that torch allocated and reserved since it was last reset, in bytes; empty off CUDA."""
    if not device.startswith("cuda"):
        return {}
    import torch

    return {
        "gpu_allocated_bytes": int(torch.cuda.max_memory_allocated(device)),
        "gpu_reserved_bytes": int(torch.cuda.max_memory_reserved(device)),
    }


def _psutil(name: str, *arguments: Any) -> Any:
    import psutil

    try:
        return getattr(psutil, name)(*arguments)
    except (OSError, RuntimeError, NotImplementedError, AttributeError, psutil.Error):
        return None


@lru_cache(maxsize=1)
def _cpu_info() -> str:
    return _read("/proc/cpuinfo") or ""


def _cpu_model() -> str | None:
    found = re.search(r"^model name\s*:\s*(.+)$", _cpu_info(), re.MULTILINE)
    if found:
        return found.group(1).strip()
    if sys.platform == "darwin":
        return _command("sysctl", "-n", "machdep.cpu.brand_string")
    return platform.processor() or None


def _cpu_flags() -> list[str] | None:
    found = re.search(r"^(?:flags|Features)\s*:\s*(.+)$", _cpu_info(), re.MULTILINE)
    return [flag for flag in FLAGS if flag in found.group(1).split()] if found else None


def _cpu_quota() -> float | None:
    """CPUs that the container may use, or None without a limit (cgroup v2, then v1)."""
    parts = (_read("/sys/fs/cgroup/cpu.max") or "").split()
    if len(parts) != 2:
        parts = [_read(f"/sys/fs/cgroup/cpu/cpu.cfs_{name}_us") or "" for name in ("quota", "period")]
    try:
        quota, period = (float(part) for part in parts)
    except ValueError:
        return None
    return quota / period if quota > 0 and period > 0 else None


def _memory_limit() -> int | None:
    text = _read("/sys/fs/cgroup/memory.max") or _read("/sys/fs/cgroup/memory/memory.limit_in_bytes") or ""
    limit = int(text) if text.strip().isdigit() else None
    return limit if limit is not None and limit < 1 << 60 else None


def _threads() -> dict[str, Any]:
    torch = sys.modules.get("torch")
    return {"torch": torch.get_num_threads() if torch else None, "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS")}


def _gpu(device: str) -> dict[str, Any]:
    facts: dict[str, Any] = dict.fromkeys(("gpu", "gpu_memory_bytes", "driver", "cuda", "gpu_clock_mhz"))
    if not device.startswith("cuda"):
        return facts
    import torch

    properties = torch.cuda.get_device_properties(device)
    facts |= {"gpu": properties.name, "gpu_memory_bytes": properties.total_memory, "cuda": torch.version.cuda}
    index = device.partition(":")[2] or "0"
    told = _command("nvidia-smi", f"--id={index}", "--query-gpu=driver_version,clocks.sm", "--format=csv,noheader,nounits")
    if told and "," in told:
        driver, clock = (part.strip() for part in told.splitlines()[0].split(",")[:2])
        facts |= {"driver": driver, "gpu_clock_mhz": int(clock) if clock.isdigit() else None}
    return facts


def _versions() -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found


def _read(path: str) -> str | None:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None


def _command(*words: str) -> str | None:
    try:
        return subprocess.run(words, capture_output=True, text=True, timeout=10, check=True).stdout.strip() or None
    except (OSError, subprocess.SubprocessError):
        return None
