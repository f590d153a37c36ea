"""What else the machine did while it was measured: other processes, heat, a container's quota. Read
before and after, never in between.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from bench.core.counting import times
from bench.machine import cpu, fingerprint, gpu
from bench.machine.cgroup import control_groups, throttled_seconds
from bench.machine.clock import now_ns

FOREIGN_CPU = 0.10
"""The share of the machine's CPU time that others may take. Their share cannot be seen beyond this
machine: not on a shared host.
"""
THROTTLED = 0.01
"""The share of the time for which a quota or heat may hold us up."""
LOAD = 2.0
"""Runnable processes per core, by the load average of the last minute, which holds our own too."""
SHORTEST_S = 0.5


@dataclass(frozen=True)
class Reading:
    """Counters that only grow, at one moment; None where the system does not count."""

    nanoseconds: int
    load: float | None
    cpu_seconds: tuple[float, float] | None
    quota_s: float | None
    thermal: int | None
    gpus: dict[str, dict[str, float | None]]


class Watch:
    """Begins when it is made; `facts` says what happened since."""

    def __init__(self, devices: Collection[str] = ()) -> None:
        self._devices = sorted({device for device in devices if gpu.meter(device)})
        self._before = self._read()

    def facts(self) -> dict[str, Any]:
        """Loads and shares as numbers, `disturbances` as sentences, and `disturbed`: None where
        nothing could be told.

        `gpu_throttled_s` is by device and cause; a power limit holds every busy GPU down and is no
        disturbance.
        """
        return {**compare(self._before, self._read()), "cpu_clock_mhz": cpu.clock_mhz()}

    def _read(self) -> Reading:
        return Reading(
            now_ns(),
            fingerprint.load_average(),
            fingerprint.cpu_seconds(),
            throttled_seconds(control_groups("cpu")),
            cpu.thermal_throttles(),
            {
                device: found.throttled_s()
                for device in self._devices
                if (found := gpu.meter(device))
            },
        )


def compare(before: Reading, after: Reading) -> dict[str, Any]:
    """What lies between two readings."""
    seconds = (after.nanoseconds - before.nanoseconds) / 1e9
    quota, heat = _growth(before.quota_s, after.quota_s), _growth(before.thermal, after.thermal)
    gpus = {
        device: {
            cause: _growth(counted.get(cause), value)
            for cause, value in after.gpus.get(device, {}).items()
        }
        for device, counted in before.gpus.items()
    }
    found: dict[str, Any] = {
        "load_average_before": before.load,
        "load_average_after": after.load,
        "foreign_cpu_share": _foreign(before, after, seconds),
        "quota_throttled_share": None if quota is None else quota / seconds,
        "cpu_thermal_throttles": heat,
        "gpu_throttled_s": gpus or None,
    }
    disturbances = list(_told(found, seconds))
    known = any(
        found[name] is not None
        for name in ("foreign_cpu_share", "quota_throttled_share", "cpu_thermal_throttles")
    )
    return {
        **found,
        "disturbed": bool(disturbances) if disturbances or known else None,
        "disturbances": disturbances,
    }


def _told(found: dict[str, Any], seconds: float) -> Iterator[str]:
    cores = fingerprint.logical_cores()
    load = max(found["load_average_before"] or 0.0, found["load_average_after"] or 0.0)
    if (found["foreign_cpu_share"] or 0.0) > FOREIGN_CPU:
        yield f"other processes took {found['foreign_cpu_share']:.0%} of the CPU during timing"
    elif load > LOAD * cores:
        yield f"the load average was {load:.1f} on {cores} cores"
    if (found["quota_throttled_share"] or 0.0) > THROTTLED:
        yield (
            "the container's CPU quota held threads up for "
            f"{found['quota_throttled_share']:.0%} of the time"
        )
    if found["cpu_thermal_throttles"]:
        yield f"the CPU was slowed down for heat {times(found['cpu_thermal_throttles'])}"
    for device, causes in (found["gpu_throttled_s"] or {}).items():
        if (causes.get("thermal") or 0.0) > THROTTLED * seconds:
            yield f"{device} was slowed down for heat during {causes['thermal']:.1f} s"


def _foreign(before: Reading, after: Reading, seconds: float) -> float | None:
    """The share of all CPU time that other processes took; None for a window too short for the
    system's ticks.
    """
    if before.cpu_seconds is None or after.cpu_seconds is None or seconds < SHORTEST_S:
        return None
    own, everyone = (
        late - early for early, late in zip(before.cpu_seconds, after.cpu_seconds, strict=True)
    )
    return max(0.0, (everyone - own) / (seconds * fingerprint.logical_cores()))


def _growth(before: float | None, after: float | None) -> float | None:
    return None if before is None or after is None else after - before
