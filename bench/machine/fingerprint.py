"""What the numbers were measured on. Never a host name, a user name or a path: a record can be
shared.
"""

from __future__ import annotations

import os
import platform
import re
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Any

from bench.core.errors import SuiteError, Unavailable
from bench.machine import cpu, gpu
from bench.machine.cgroup import control_groups, cpu_quota, memory_limit, read

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
    """The device behind a name; `auto` is the first GPU, else mps, else cpu. Raises Unavailable for
    one that is not here.
    """
    if not is_device_name(name):
        raise SuiteError(f"'{name}' is not a device: auto, cpu, cuda, cuda:N or mps")
    if name == "cpu":
        return name
    devices = available_devices()
    if name == "auto":
        return next((device for device in ("cuda", "mps") if device in devices), "cpu")
    name = "cuda" if name == "cuda:0" else name
    if name not in devices and find_spec("torch") is None:
        raise Unavailable("torch not installed", "pip install 'rerank-bench[local]'")
    if name not in devices:
        raise Unavailable(f"no {name} device", f"this machine has: {', '.join(devices)}")
    return name


def fingerprint(device: str) -> dict[str, Any]:
    """Hardware, driver, threads and library versions. A fact that the system does not tell is None;
    nothing raises.
    """
    return {
        **cpu.facts(),
        "physical_cores": _psutil("cpu_count", False),
        "logical_cores": logical_cores(),
        "usable_cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "memory_bytes": getattr(_psutil("virtual_memory"), "total", None),
        "cpu_quota": cpu_quota(control_groups("cpu")),
        "memory_limit_bytes": memory_limit(control_groups("memory")),
        "threads": _threads(),
        **gpu.facts(device),
        "os": f"{platform.system()} {platform.release().partition('-')[0]} {platform.machine()}",
        "python": platform.python_version(),
        "libraries": _versions(),
    }


def speed_fields(found: Mapping[str, Any]) -> dict[str, Any]:
    """What must agree before two latencies are compared."""
    libraries = found.get("libraries") or {}
    return {
        **{name: found.get(name) for name in SPEED_FIELDS},
        "libraries": {name: libraries.get(name) for name in SPEED_LIBRARIES},
    }


def load_average() -> float | None:
    """The one-minute load average, where the system has one."""
    try:
        return os.getloadavg()[0]
    except (AttributeError, OSError):
        return None


def peak_rss_bytes() -> int | None:
    """The most memory this process has held, in bytes.

    On Linux from /proc: getrusage's ru_maxrss there survives exec, so that a small child of a large
    process reports its parent's peak.
    """
    if found := re.search(r"^VmHWM:\s*(\d+) kB$", read("/proc/self/status") or "", re.MULTILINE):
        return int(found.group(1)) * 1024
    try:
        import resource
    except ImportError:  # Windows
        memory = _psutil("Process")
        return getattr(memory.memory_info(), "peak_wset", None) if memory else None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak if sys.platform == "darwin" else peak * 1024)


def cpu_seconds() -> tuple[float, float] | None:
    """(of this process and its finished children, of the whole machine) busy CPU seconds so far, or
    None. Their growth tells how much others took.
    """
    times = _psutil("cpu_times")
    if times is None:
        return None
    idle = times.idle + getattr(times, "iowait", 0.0)
    own = os.times()
    return sum(own[:4]), float(sum(times[:8]) - idle)


def logical_cores() -> int:
    """CPUs that the system schedules on."""
    return os.cpu_count() or 1


def _psutil(name: str, *arguments: Any) -> Any:
    import psutil

    try:
        return getattr(psutil, name)(*arguments)
    except (OSError, RuntimeError, NotImplementedError, AttributeError, psutil.Error):
        return None


def _threads() -> dict[str, Any]:
    torch = sys.modules.get("torch")
    return {
        "torch": torch.get_num_threads() if torch else None,
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS"),
    }


def _versions() -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found
