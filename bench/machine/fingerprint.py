"""What the numbers were measured on.

Never a host name, a user name or a path: a record can be shared.
"""

from __future__ import annotations

import ctypes
import os
import platform
import re
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypedDict

from bench.core.errors import SuiteError, Unavailable
from bench.core.version import installed
from bench.machine import cpu, gpu
from bench.machine.cgroup import control_groups, cpu_quota, memory_limit, read
from bench.machine.cpu import CpuFacts
from bench.machine.gpu import GpuFacts

LIBRARIES = (
    "torch",
    "transformers",
    "sentence-transformers",
    "tokenizers",
    "numpy",
    "ir-measures",
    "bm25s",
    "peft",
    "onnxruntime",
    "openvino",
    "flash-attn",
)
HARDWARE_FIELDS = (
    "cpu",
    "cpu_flags",
    "cpu_max_mhz",
    "cpu_governor",
    "physical_cores",
    "usable_cores",
    "cpu_quota",
    "gpu",
    "gpu_power_limit_w",
)
SPEED_FIELDS = (*HARDWARE_FIELDS, "threads", "driver", "cuda")
SPEED_LIBRARIES = ("torch", "transformers", "sentence-transformers", "tokenizers")
_DEVICE = re.compile(r"auto|cpu|mps|cuda(:\d+)?")


class Threads(TypedDict):
    """The threads that torch and OpenMP may use. None for what is not imported or not set."""

    torch: int | None
    OMP_NUM_THREADS: str | None


class System(TypedDict):
    """The machine apart from its processors, and what runs on it."""

    physical_cores: int | None
    logical_cores: int
    usable_cores: int | None
    memory_bytes: int | None
    cpu_quota: float | None
    memory_limit_bytes: int | None
    threads: Threads
    os: str
    python: str
    libraries: dict[str, str | None]
    """Version by distribution, None where it is not installed."""


class Environment(CpuFacts, GpuFacts, System):
    """What a run was measured on, as its records hold it."""


def is_device_name(name: str) -> bool:
    """Return whether a suite may name this device; it need not be here."""
    return _DEVICE.fullmatch(name) is not None


def available_devices() -> list[str]:
    """Return cpu, and the devices that torch can reach. Without torch, cpu alone."""
    devices = ["cpu"]
    if "torch" not in sys.modules and not _may_have_accelerator():
        # torch takes seconds to import
        return devices
    try:
        import torch
    except ImportError:
        return devices
    for number in range(torch.cuda.device_count()):
        devices.append(f"cuda:{number}" if number else "cuda")
    if torch.backends.mps.is_available():
        devices.append("mps")
    return devices


def _may_have_accelerator() -> bool:
    """Return whether torch could reach more than the CPU: only macOS has mps, and the others need a
    library of the driver of NVIDIA, or AMD's device.
    """
    if sys.platform == "darwin" or Path("/dev/kfd").exists():
        return True
    library = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def resolve_device(name: str) -> str:
    """Return the device behind a name; `auto` is the first GPU, else mps, else cpu.

    Raises Unavailable for one that is not here.
    """
    if not is_device_name(name):
        raise SuiteError(f"'{name}' is not a device: auto, cpu, cuda, cuda:N or mps")
    if name == "cpu":
        return name
    devices = available_devices()
    if name == "auto":
        return next((device for device in ("cuda", "mps") if device in devices), "cpu")
    if name == "cuda:0":
        name = "cuda"
    if name not in devices and find_spec("torch") is None:
        raise Unavailable("torch not installed", "pip install 'rerank-bench[local]'")
    if name not in devices:
        raise Unavailable(f"no {name} device", f"this machine has: {', '.join(devices)}")
    return name


def usable_cores() -> int:
    """Return how many CPU cores this process may keep busy, by its affinity and its control
    group.
    """
    quota = cpu_quota(control_groups("cpu"))
    cores = _allowed_cores() or 1
    if quota is None:
        return cores
    return max(1, min(cores, round(quota)))


def fingerprint(device: str) -> Environment:
    """Return hardware, driver, threads and library versions.

    A fact that the system does not give is None; nothing raises.
    """
    return {
        **cpu.facts(),
        "physical_cores": _psutil("cpu_count", False),
        "logical_cores": logical_cores(),
        "usable_cores": _allowed_cores(),
        "memory_bytes": getattr(_psutil("virtual_memory"), "total", None),
        "cpu_quota": cpu_quota(control_groups("cpu")),
        "memory_limit_bytes": memory_limit(control_groups("memory")),
        "threads": _threads(),
        **gpu.facts(device),
        "os": f"{platform.system()} {platform.release().partition('-')[0]} {platform.machine()}",
        "python": platform.python_version(),
        "libraries": _versions(),
    }


def speed_fields(environment: Mapping[str, Any]) -> dict[str, object]:
    """Return what must agree before two latencies are compared.

    A record of an earlier version may lack some of it.
    """
    libraries = environment.get("libraries") or {}
    return {
        **{name: environment.get(name) for name in SPEED_FIELDS},
        "libraries": {name: libraries.get(name) for name in SPEED_LIBRARIES},
    }


def load_average() -> float | None:
    """Return the one-minute load average; None where the system has none."""
    try:
        return os.getloadavg()[0]
    except (AttributeError, OSError):
        return None


def peak_rss_bytes() -> int | None:
    """Return the largest memory that this process has occupied so far, in bytes.

    On Linux from /proc: getrusage's ru_maxrss there survives exec, so that a small child of a large
    process reports its parent's peak.
    """
    status = read("/proc/self/status") or ""
    match = re.search(r"^VmHWM:\s*(\d+) kB$", status, re.MULTILINE)
    if match is not None:
        return int(match.group(1)) * 1024
    try:
        import resource
    except ImportError:  # Windows
        process = _psutil("Process")
        if process is None:
            return None
        return getattr(process.memory_info(), "peak_wset", None)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # macOS counts in bytes, others in kilobytes
    if sys.platform == "darwin":
        return int(peak)
    return int(peak * 1024)


def cpu_seconds() -> tuple[float, float] | None:
    """Return the busy CPU seconds so far (of this process and its finished children, of the whole
    machine), or None. Their growth says how much others took.
    """
    times = _psutil("cpu_times")
    if times is None:
        return None
    idle = times.idle + getattr(times, "iowait", 0.0)
    own = os.times()
    return sum(own[:4]), float(sum(times[:8]) - idle)


def logical_cores() -> int:
    """Return the number of CPUs that the system schedules on."""
    return os.cpu_count() or 1


def _psutil(name: str, *arguments: Any) -> Any:
    import psutil

    try:
        return getattr(psutil, name)(*arguments)
    except (OSError, RuntimeError, NotImplementedError, AttributeError, psutil.Error):
        return None


def _allowed_cores() -> int | None:
    """Return the number of CPUs that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count()


def _threads() -> Threads:
    # torch is not imported for the sake of its threads
    torch = sys.modules.get("torch")
    return {
        "torch": torch.get_num_threads() if torch else None,
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS"),
    }


def _versions() -> dict[str, str | None]:
    return {name: installed(name) for name in LIBRARIES}
