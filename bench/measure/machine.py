"""What the numbers were measured on. Never a host name, a user name or a path: a record can be shared."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bench.errors import SuiteError, Unavailable

LIBRARIES = ("torch", "transformers", "sentence-transformers", "tokenizers", "numpy", "ir-measures", "bm25s", "peft")
FLAGS = ("avx2", "avx512f", "avx512_bf16", "avx512_vnni", "amx_bf16", "amx_int8", "asimd", "sve")
SPEED_FIELDS = ("cpu", "cpu_flags", "physical_cores", "usable_cores", "cpu_quota", "threads", "gpu", "driver", "cuda")
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
    """The device behind a name; `auto` is the first GPU, else mps, else cpu. Raises Unavailable for one that is not here."""
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
    """Hardware, driver, threads and library versions. A fact that the system does not tell is None; nothing raises."""
    return {
        "cpu": _cpu_model(),
        "cpu_flags": _cpu_flags(),
        "physical_cores": _psutil("cpu_count", False),
        "logical_cores": logical_cores(),
        "usable_cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_bytes": getattr(_psutil("virtual_memory"), "total", None),
        "cpu_quota": cpu_quota(control_groups("cpu")),
        "memory_limit_bytes": memory_limit(control_groups("memory")),
        "threads": _threads(),
        **_gpu(device),
        "os": f"{platform.system()} {platform.release().partition('-')[0]} {platform.machine()}",
        "python": platform.python_version(),
        "libraries": _versions(),
    }


def speed_fields(found: Mapping[str, Any]) -> dict[str, Any]:
    """What must agree before two latencies are compared."""
    libraries = found.get("libraries") or {}
    return {**{name: found.get(name) for name in SPEED_FIELDS}, "libraries": {name: libraries.get(name) for name in SPEED_LIBRARIES}}


def load_average() -> float | None:
    """The one-minute load average, where the system has one."""
    try:
        return os.getloadavg()[0]
    except (AttributeError, OSError):
        return None


def peak_rss_bytes() -> int | None:
    """The most memory this process has held, in bytes.

    On Linux from /proc: getrusage's ru_maxrss there survives exec, so that a small child of a large process reports its parent's peak.
    """
    if found := re.search(r"^VmHWM:\s*(\d+) kB$", _read("/proc/self/status") or "", re.MULTILINE):
        return int(found.group(1)) * 1024
    try:
        import resource
    except ImportError:  # Windows
        memory = _psutil("Process")
        return getattr(memory.memory_info(), "peak_wset", None) if memory else None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak if sys.platform == "darwin" else peak * 1024)


def cpu_seconds() -> tuple[float, float] | None:
    """(of this process and its finished children, of the whole machine) busy CPU seconds so far, or None. Their growth tells how much
    others took."""
    times = _psutil("cpu_times")
    if times is None:
        return None
    idle = times.idle + getattr(times, "iowait", 0.0)
    own = os.times()
    return sum(own[:4]), float(sum(times[:8]) - idle)


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


def reset_gpu_memory_peaks(device: str) -> None:
    """Begin a new peak for `gpu_memory`; does nothing off CUDA."""
    if device.startswith("cuda"):
        import torch

        torch.cuda.reset_peak_memory_stats(device)


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
    for text in (_cpu_info(), _command("lscpu") or ""):  # on ARM only lscpu knows the name
        if found := re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE | re.IGNORECASE):
            return found.group(1).strip()
    if sys.platform == "darwin":
        return _command("sysctl", "-n", "machdep.cpu.brand_string")
    return platform.processor() or None


def _cpu_flags() -> list[str] | None:
    found = re.search(r"^(?:flags|Features)\s*:\s*(.+)$", _cpu_info(), re.MULTILINE)
    return [flag for flag in FLAGS if flag in found.group(1).split()] if found else None


def cpu_quota(folders: Sequence[Path]) -> float | None:
    """CPUs that the tightest of these control groups allows, or None without a limit."""
    quotas = []
    for folder in folders:
        parts = (_read(folder / "cpu.max") or "").split()
        if len(parts) != 2:
            parts = [_read(folder / f"cpu.cfs_{name}_us") or "" for name in ("quota", "period")]
        try:
            quota, period = (float(part) for part in parts)
        except ValueError:
            continue
        if quota > 0 and period > 0:
            quotas.append(quota / period)
    return min(quotas, default=None)


def memory_limit(folders: Sequence[Path]) -> int | None:
    """Bytes that the tightest of these control groups allows, or None without a limit (version 1 then names a number beyond all sense)."""
    texts = [_read(folder / name) or "" for folder in folders for name in ("memory.max", "memory.limit_in_bytes")]
    return min((int(text) for text in texts if text.strip().isdigit() and int(text) < 1 << 60), default=None)


def control_groups(controller: str, root: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")) -> list[Path]:
    """This process's control group and those around it, version 2 (one tree) and version 1 (a tree per controller).

    A limit may be set on any of them. In a container the innermost one is often mounted as the root, whatever its name outside.
    """
    folders = [root, root / controller]
    for line in (_read(own) or "").splitlines():
        number, controllers, path = [*line.split(":", 2), "", ""][:3]
        if number == "0" or controller in controllers.split(","):
            tree = root / controller if controllers else root
            names = path.strip("/").split("/")
            folders += [tree.joinpath(*names[:depth]) for depth in range(1, len(names) + 1)]
    return folders


def _threads() -> dict[str, Any]:
    torch = sys.modules.get("torch")
    return {"torch": torch.get_num_threads() if torch else None, "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS")}


def _gpu(device: str) -> dict[str, Any]:
    facts: dict[str, Any] = dict.fromkeys(("gpu", "gpu_memory_bytes", "driver", "cuda", "gpu_clock_mhz", "gpu_max_clock_mhz"))
    if not device.startswith("cuda"):
        return facts
    try:
        import torch

        properties = torch.cuda.get_device_properties(device)
    except (ImportError, AssertionError, RuntimeError):  # no torch, a torch without CUDA, no such GPU
        return facts
    facts |= {"gpu": properties.name, "gpu_memory_bytes": properties.total_memory, "cuda": torch.version.cuda}
    # torch counts what CUDA_VISIBLE_DEVICES leaves, nvidia-smi counts all GPUs: only the uuid names the same one to both
    uuid = getattr(properties, "uuid", None)
    which = f"GPU-{uuid}" if uuid else device.partition(":")[2] or "0"
    told = _command("nvidia-smi", f"--id={which}", "--query-gpu=driver_version,clocks.sm,clocks.max.sm", "--format=csv,noheader,nounits")
    if told and told.count(",") >= 2:
        driver, clock, fastest = (part.strip() for part in told.splitlines()[0].split(",")[:3])
        clocks = {"gpu_clock_mhz": clock, "gpu_max_clock_mhz": fastest}
        facts |= {"driver": driver, **{name: int(text) if text.isdigit() else None for name, text in clocks.items()}}
    return facts


def _versions() -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found


def _read(path: str | Path) -> str | None:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None


def _command(*words: str) -> str | None:
    try:
        return subprocess.run(words, capture_output=True, text=True, timeout=10, check=True).stdout.strip() or None
    except (OSError, subprocess.SubprocessError):
        return None
