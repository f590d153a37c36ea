"""What else the machine did while it was measured: other processes, heat, a container's quota.

Counters are read before and after, never in between.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import TypedDict

from bench.core.note import Code, Note, NoteFields, note
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


class Growth(TypedDict):
    """What lies between two readings, as a record holds it. None where the system does not say."""

    load_average_before: float | None
    load_average_after: float | None
    foreign_cpu_share: float | None
    quota_throttled_share: float | None
    cpu_thermal_throttles: float | None
    gpu_throttled_s: dict[str, dict[str, float | None]] | None
    """By device and cause. A power limit holds every busy GPU down and is no disturbance."""


class Verdict(Growth):
    """The same, with what of it disturbed the measurement."""

    disturbed: bool | None
    """None where the system says nothing."""
    disturbances: list[NoteFields]


class Disturbance(Verdict):
    """The same, with the processor's clock at the end."""

    cpu_clock_mhz: float | None


class Watch:
    """Begins when it is made; `facts` says what happened since."""

    def __init__(self, devices: Collection[str] = ()) -> None:
        self._devices = sorted({device for device in devices if gpu.meter(device)})
        self._before = self._read()

    def facts(self) -> Disturbance:
        """Return loads and shares as numbers, and the disturbances as notes."""
        return {**compare(self._before, self._read()), "cpu_clock_mhz": cpu.clock_mhz()}

    def _read(self) -> Reading:
        gpus = {}
        for device in self._devices:
            meter = gpu.meter(device)
            if meter is not None:
                gpus[device] = meter.throttled_s()
        return Reading(
            now_ns(),
            fingerprint.load_average(),
            fingerprint.cpu_seconds(),
            throttled_seconds(control_groups("cpu")),
            cpu.thermal_throttles(),
            gpus,
        )


def compare(before: Reading, after: Reading) -> Verdict:
    """Return what lies between two readings, and what of it disturbed a measurement."""
    seconds = (after.nanoseconds - before.nanoseconds) / 1e9
    quota_s = _growth(before.quota_s, after.quota_s)
    gpus = {}
    for device, causes in before.gpus.items():
        gpus[device] = {
            cause: _growth(causes.get(cause), value)
            for cause, value in after.gpus.get(device, {}).items()
        }
    growth: Growth = {
        "load_average_before": before.load,
        "load_average_after": after.load,
        "foreign_cpu_share": _foreign(before, after, seconds),
        "quota_throttled_share": None if quota_s is None else quota_s / seconds,
        "cpu_thermal_throttles": _growth(before.thermal, after.thermal),
        "gpu_throttled_s": gpus or None,
    }
    disturbances = [about.to_dict() for about in _notes(growth, seconds)]
    is_known = any(
        value is not None
        for value in (
            growth["foreign_cpu_share"],
            growth["quota_throttled_share"],
            growth["cpu_thermal_throttles"],
        )
    )
    is_disturbed: bool | None = None
    if disturbances or is_known:
        is_disturbed = bool(disturbances)
    return {**growth, "disturbed": is_disturbed, "disturbances": disturbances}


def _notes(growth: Growth, seconds: float) -> Iterator[Note]:
    """Yield what disturbed a measurement of this many seconds."""
    cores = fingerprint.logical_cores()
    load = max(growth["load_average_before"] or 0.0, growth["load_average_after"] or 0.0)
    foreign_share = growth["foreign_cpu_share"] or 0.0
    if foreign_share > FOREIGN_CPU:
        yield note(Code.FOREIGN_CPU, foreign_share)
    elif load > LOAD * cores:
        yield note(Code.LOAD, load, cores)
    quota_share = growth["quota_throttled_share"] or 0.0
    if quota_share > THROTTLED:
        yield note(Code.QUOTA, quota_share)
    if growth["cpu_thermal_throttles"]:
        yield note(Code.CPU_HEAT, growth["cpu_thermal_throttles"])
    for device, causes in (growth["gpu_throttled_s"] or {}).items():
        thermal_s = causes.get("thermal") or 0.0
        if thermal_s > THROTTLED * seconds:
            yield note(Code.GPU_HEAT, thermal_s, device=device)


def _foreign(before: Reading, after: Reading, seconds: float) -> float | None:
    """Return the share of all CPU time that other processes took; None for a window too short for
    the system's ticks.
    """
    if before.cpu_seconds is None or after.cpu_seconds is None or seconds < SHORTEST_S:
        return None
    own, everyone = (
        late - early for early, late in zip(before.cpu_seconds, after.cpu_seconds, strict=True)
    )
    return max(0.0, (everyone - own) / (seconds * fingerprint.logical_cores()))


def _growth(before: float | None, after: float | None) -> float | None:
    if before is None or after is None:
        return None
    return after - before
