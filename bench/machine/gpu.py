"""An NVIDIA GPU: what it is, what it holds, how fast it ran, and the energy that it drew.

torch and NVML (nvidia-ml-py) answer, where they are installed.
"""

from __future__ import annotations

import statistics
from functools import lru_cache
from typing import Any, TypedDict

from bench.machine.cpu import command

QUERY = "driver_version,clocks.sm,clocks.max.sm,enforced.power.limit"
"""Fields that nvidia-smi reports in one line, in this order."""
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


class GpuFacts(TypedDict):
    """A GPU, as a record holds it. None for what is not known, and for all of it off CUDA."""

    gpu: str | None
    gpu_memory_bytes: int | None
    gpu_power_limit_w: float | None
    compute_capability: str | None
    driver: str | None
    cuda: str | None
    gpu_clock_mhz: float | None
    gpu_max_clock_mhz: float | None


class Clocks(TypedDict, total=False):
    """The clocks at which a GPU ran in MHz, and what slowed it; empty where nothing was read."""

    gpu_clock_mhz_low: int
    gpu_clock_mhz_median: float
    gpu_slowed_by: list[str]


def is_cuda(device: str) -> bool:
    """Return whether a device of torch is an NVIDIA GPU."""
    return device.startswith("cuda")


def facts(device: str) -> GpuFacts:
    """Return name, memory, power limit, driver and clocks."""
    answer: GpuFacts = {
        "gpu": None,
        "gpu_memory_bytes": None,
        "gpu_power_limit_w": None,
        "compute_capability": None,
        "driver": None,
        "cuda": None,
        "gpu_clock_mhz": None,
        "gpu_max_clock_mhz": None,
    }
    properties = _properties(device)
    if properties is None:
        return answer
    import torch

    answer["gpu"] = properties.name
    answer["gpu_memory_bytes"] = properties.total_memory
    answer["cuda"] = torch.version.cuda
    answer["compute_capability"] = f"{properties.major}.{properties.minor}"
    # torch counts what CUDA_VISIBLE_DEVICES leaves, nvidia-smi counts all GPUs: only the uuid names
    # the same one to both
    name = _uuid(properties) or _number_of(device)
    line = command(
        "nvidia-smi", f"--id={name}", f"--query-gpu={QUERY}", "--format=csv,noheader,nounits"
    )
    if line is None:
        return answer
    values = [part.strip() for part in line.splitlines()[0].split(",")]
    if len(values) == QUERY.count(",") + 1:
        answer["driver"] = values[0]
        answer["gpu_clock_mhz"] = _number(values[1])
        answer["gpu_max_clock_mhz"] = _number(values[2])
        answer["gpu_power_limit_w"] = _number(values[3])
    return answer


def memory(device: str) -> dict[str, int]:
    """Return the peak GPU memory that torch allocated and reserved since the last reset, in bytes;
    empty off CUDA.
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
        self._nvml = nvml
        self._handle = handle

    def energy_mj(self) -> int | None:
        """Return the millijoules that the whole board has drawn since the driver was loaded
        (nvmlDeviceGetTotalEnergyConsumption; from Volta).
        """
        energy: int | None = self._ask("nvmlDeviceGetTotalEnergyConsumption")
        return energy

    def throttled_s(self) -> dict[str, float | None]:
        """Return the seconds, so far, for which heat or the power limit held the clocks down
        (nvmlDeviceGetViolationStatus).
        """
        return {
            "thermal": self._violation_s(self._nvml.NVML_PERF_POLICY_THERMAL),
            "power": self._violation_s(self._nvml.NVML_PERF_POLICY_POWER),
        }

    def clock_mhz(self) -> int | None:
        """Return the clock of the multiprocessors at this moment."""
        clock: int | None = self._ask("nvmlDeviceGetClockInfo", self._nvml.NVML_CLOCK_SM)
        return clock

    def slowed_by(self) -> set[str]:
        """Return what holds the clocks down at this moment."""
        bits = self._ask("nvmlDeviceGetCurrentClocksEventReasons") or 0
        return {name for bit, name in THROTTLES.items() if bits & bit}

    def _violation_s(self, policy: int) -> float | None:
        status = self._ask("nvmlDeviceGetViolationStatus", policy)
        if status is None:
            return None
        seconds: float = status.violationTime / 1e9
        return seconds

    def _ask(self, function: str, *arguments: Any) -> Any:
        try:
            return getattr(self._nvml, function)(self._handle, *arguments)
        # AttributeError: a function that this release of the bindings lacks
        except (self._nvml.NVMLError, AttributeError):
            return None


class ClockLog:
    """The clocks at which a GPU ran, read right after each call: before it falls back to rest."""

    def __init__(self, meter: Meter | None) -> None:
        self._meter = meter
        self._clocks: list[int] = []
        self._slowed: set[str] = set()

    def look(self) -> None:
        """Read the clock, and what slows it."""
        if self._meter is None:
            return
        clock = self._meter.clock_mhz()
        if clock is not None:
            self._clocks.append(clock)
        self._slowed |= self._meter.slowed_by()

    def facts(self) -> Clocks:
        """Return the lowest and the median clock, and what slowed it."""
        if not self._clocks:
            return {}
        return {
            "gpu_clock_mhz_low": min(self._clocks),
            "gpu_clock_mhz_median": statistics.median(self._clocks),
            "gpu_slowed_by": sorted(self._slowed),
        }


@lru_cache(maxsize=16)
def meter(device: str) -> Meter | None:
    """Return the counters of a torch device; None off CUDA, without nvidia-ml-py (the extra `gpu`),
    or where NVML does not answer.
    """
    properties = _properties(device)
    if properties is None:
        return None
    try:
        import pynvml
    except ImportError:
        return None
    uuid = _uuid(properties)
    try:
        pynvml.nvmlInit()
        if uuid:
            handle = pynvml.nvmlDeviceGetHandleByUUID(uuid)
        else:
            handle = pynvml.nvmlDeviceGetHandleByIndex(int(_number_of(device)))
    except pynvml.NVMLError:
        return None
    return Meter(pynvml, handle)


def _properties(device: str) -> Any:
    """Return torch's properties of a GPU; None off CUDA, without torch, with a torch without CUDA,
    and for a GPU that is not there.
    """
    if not is_cuda(device):
        return None
    try:
        import torch

        return torch.cuda.get_device_properties(device)
    except (ImportError, AssertionError, RuntimeError):
        return None


def _number_of(device: str) -> str:
    """Return the number of a device: `cuda` is the first."""
    return device.partition(":")[2] or "0"


def _uuid(properties: Any) -> str | None:
    uuid = getattr(properties, "uuid", None)
    if not uuid:
        return None
    return f"GPU-{uuid}"


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:  # "[N/A]"
        return None
