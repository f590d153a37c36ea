"""What an NVIDIA GPU is, what it holds, how fast it ran, and what it drew. torch and NVML
(nvidia-ml-py) are asked where they are here.
"""

from __future__ import annotations

import statistics
from functools import lru_cache
from typing import Any

from bench.machine.cpu import command

FIELDS = (
    "gpu",
    "gpu_memory_bytes",
    "gpu_power_limit_w",
    "compute_capability",
    "driver",
    "cuda",
    "gpu_clock_mhz",
    "gpu_max_clock_mhz",
)
ASKED = "driver_version,clocks.sm,clocks.max.sm,enforced.power.limit"
THROTTLES = {
    0x04: "power cap",
    0x08: "hardware slowdown",
    0x20: "software thermal slowdown",
    0x40: "hardware thermal slowdown",
    0x80: "power brake",
}
"""Bits of NVML's clocks event reasons that slow a busy GPU down (nvmlClocksEventReason*); the
others mean idle or a chosen setting.
"""


def is_cuda(device: str) -> bool:
    return device.startswith("cuda")


def facts(device: str) -> dict[str, Any]:
    """Name, memory, power limit, driver and clocks. None for each that is not told, and for all of
    them off CUDA.
    """
    found: dict[str, Any] = dict.fromkeys(FIELDS)
    if not is_cuda(device):
        return found
    try:
        import torch

        properties = torch.cuda.get_device_properties(device)
    except (
        ImportError,
        AssertionError,
        RuntimeError,
    ):  # no torch, a torch without CUDA, no such GPU
        return found
    found |= {
        "gpu": properties.name,
        "gpu_memory_bytes": properties.total_memory,
        "cuda": torch.version.cuda,
    }
    found["compute_capability"] = f"{properties.major}.{properties.minor}"
    # torch counts what CUDA_VISIBLE_DEVICES leaves, nvidia-smi counts all GPUs: only the uuid names
    # the same one to both
    which = _uuid(properties) or device.partition(":")[2] or "0"
    told = command(
        "nvidia-smi", f"--id={which}", f"--query-gpu={ASKED}", "--format=csv,noheader,nounits"
    )
    values = [part.strip() for part in told.splitlines()[0].split(",")] if told else []
    if len(values) == ASKED.count(",") + 1:
        found["driver"] = values[0]
        for name, text in zip(
            ("gpu_clock_mhz", "gpu_max_clock_mhz", "gpu_power_limit_w"), values[1:], strict=True
        ):
            found[name] = _number(text)
    return found


def memory(device: str) -> dict[str, int]:
    """Peak GPU memory that torch allocated and reserved since it was last reset, in bytes; empty
    off CUDA.
    """
    if not is_cuda(device):
        return {}
    import torch

    return {
        "gpu_allocated_bytes": int(torch.cuda.max_memory_allocated(device)),
        "gpu_reserved_bytes": int(torch.cuda.max_memory_reserved(device)),
    }


def reset_memory_peaks(device: str) -> None:
    """Begin a new peak for `memory`; does nothing off CUDA."""
    if is_cuda(device):
        import torch

        torch.cuda.reset_peak_memory_stats(device)


class Meter:
    """NVML's counters of one GPU. Each answer is None where this GPU or driver gives none."""

    def __init__(self, nvml: Any, handle: Any) -> None:
        self._nvml, self._handle = nvml, handle

    def energy_mj(self) -> int | None:
        """Millijoules that the whole board has drawn since the driver was loaded
        (nvmlDeviceGetTotalEnergyConsumption; from Volta).
        """
        found: int | None = self._ask("nvmlDeviceGetTotalEnergyConsumption")
        return found

    def throttled_s(self) -> dict[str, float | None]:
        """Seconds, so far, for which heat or the power limit held the clocks down
        (nvmlDeviceGetViolationStatus).
        """
        policies = {
            "thermal": self._nvml.NVML_PERF_POLICY_THERMAL,
            "power": self._nvml.NVML_PERF_POLICY_POWER,
        }
        told = {
            name: self._ask("nvmlDeviceGetViolationStatus", policy)
            for name, policy in policies.items()
        }
        return {
            name: None if one is None else one.violationTime / 1e9 for name, one in told.items()
        }

    def clock_mhz(self) -> int | None:
        """The clock of the multiprocessors at this moment."""
        found: int | None = self._ask("nvmlDeviceGetClockInfo", self._nvml.NVML_CLOCK_SM)
        return found

    def slowed_by(self) -> set[str]:
        """What holds the clocks down at this moment."""
        bits = self._ask("nvmlDeviceGetCurrentClocksEventReasons") or 0
        return {name for bit, name in THROTTLES.items() if bits & bit}

    def _ask(self, function: str, *arguments: Any) -> Any:
        try:
            return getattr(self._nvml, function)(self._handle, *arguments)
        except (
            self._nvml.NVMLError,
            AttributeError,
        ):  # AttributeError: a function that this release of the bindings lacks
            return None


class ClockLog:
    """The clocks a GPU ran at, read right after each call: before it falls back to rest."""

    def __init__(self, meter: Meter | None) -> None:
        self._meter = meter
        self._clocks: list[int] = []
        self._slowed: set[str] = set()

    def look(self) -> None:
        if self._meter is None:
            return
        clock = self._meter.clock_mhz()
        self._clocks += [] if clock is None else [clock]
        self._slowed |= self._meter.slowed_by()

    def facts(self) -> dict[str, Any]:
        """Lowest and median clock in MHz, and what slowed it; empty where nothing was read."""
        if not self._clocks:
            return {}
        clocks = {
            "gpu_clock_mhz_low": min(self._clocks),
            "gpu_clock_mhz_median": statistics.median(self._clocks),
        }
        return {**clocks, "gpu_slowed_by": sorted(self._slowed)}


@lru_cache(maxsize=16)
def meter(device: str) -> Meter | None:
    """The counters of a torch device; None off CUDA, without nvidia-ml-py (the extra `gpu`), or
    where NVML does not answer.
    """
    if not is_cuda(device):
        return None
    try:
        import pynvml
        import torch

        properties = torch.cuda.get_device_properties(device)
    except (ImportError, AssertionError, RuntimeError):
        return None
    try:
        pynvml.nvmlInit()
        uuid = _uuid(properties)
        handle = (
            pynvml.nvmlDeviceGetHandleByUUID(uuid)
            if uuid
            else pynvml.nvmlDeviceGetHandleByIndex(int(device.partition(":")[2] or 0))
        )
    except pynvml.NVMLError:
        return None
    return Meter(pynvml, handle)


def _uuid(properties: Any) -> str | None:
    uuid = getattr(properties, "uuid", None)
    return f"GPU-{uuid}" if uuid else None


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:  # "[N/A]"
        return None
