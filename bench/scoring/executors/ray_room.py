"""The room that a cluster has for actors: what each takes, whether a machine is that large, and the
wait for a place, in words.
"""

from __future__ import annotations

import importlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from bench.core.counting import counted
from bench.core.errors import ExecutorError

SAY_SECONDS = 10.0
"""After which a wait is worth a line: an actor that has room takes some seconds to start."""
AGAIN_SECONDS = 120.0
"""After which it is said again, while no actor has a place."""
JOIN_SECONDS = 30.0
"""Within which the machines of a cluster that has just been started join it."""
STATUS = "__autoscaling_status"
"""Where Ray's monitor writes what it knows of machines, an autoscaler or not."""
MIRRORED = "node_"
"""What is before the id of a machine in its type where no autoscaler has started it."""
KINDS = ("CPU", "GPU")
ROUNDING = 1e-6
"""Ten tenths of a GPU are one."""


@dataclass(frozen=True)
class Place:
    """What each actor takes, and how many of them there are at most; `cpus_key` is the option that
    decides the CPUs.
    """

    device: str
    threads: int
    cpus: float
    gpus: float
    workers: int = 1
    cpus_key: str = "cpus"

    def rooms(self, machine: Mapping[str, float]) -> int:
        """Return how many actors have room on a machine with these resources and no other work."""
        needs = [(kind, count) for kind, count in self.resources().items() if count]
        rooms = [int(machine.get(kind, 0) / count + ROUNDING) for kind, count in needs]
        return min(rooms, default=1)

    def resources(self) -> dict[str, float]:
        """Return what an actor takes, as Ray names it."""
        return dict(zip(KINDS, (self.cpus, self.gpus), strict=True))

    def keys(self) -> dict[str, float]:
        """Return the options that decide what an actor takes, with their values."""
        keys = {self.cpus_key: self.cpus}
        if self.gpus:
            keys["gpus"] = self.gpus
        return keys


class Room:
    """What a cluster has for actors. `is_own` where Ray was started for this process alone: no
    machine joins it, and nobody else has work there.
    """

    def __init__(self, ray: Any, place: Place, patience: float, *, is_own: bool) -> None:
        self._ray = ray
        self._place = place
        self._patience = patience
        self._is_own = is_own

    def is_certain(self) -> bool:
        """Return whether every actor has a place once it has started."""
        rooms = sum(map(self._place.rooms, machines_of(self._ray)))
        return self._is_own and self._place.workers <= rooms

    def may_come(self) -> bool:
        """Return whether a machine is large enough for an actor, or one may be added that is: by an
        autoscaler, or by who knows.
        """
        machines = machines_of(self._ray)
        return any(map(self._place.rooms, machines)) or not (self._is_own or is_fixed())

    def patience(self) -> float:
        """Return the seconds that a first actor waits for its place."""
        if self.may_come():
            return self._patience
        if self._is_own:
            return 0.0
        return min(JOIN_SECONDS, self._patience)

    def words(self) -> str:
        """Return what each actor takes and what the cluster has."""
        machines = machines_of(self._ray)
        total = {kind: sum(machine.get(kind, 0) for machine in machines) for kind in KINDS}
        return (
            f"each takes {self._in_words(self._place.resources())}, and the cluster has "
            f"{self._in_words(total)} on {counted(len(machines), 'machine')}, of which "
            f"{self._in_words(self._ray.available_resources())} are free"
        )

    def refusal(self) -> ExecutorError:
        """Return what ends a run whose actors have no place."""
        keys = self._place.keys()
        names = " or ".join(keys)
        if self.may_come():
            return ExecutorError(
                f"the cluster had no room for an actor within {self._patience:g} s: "
                f"{self.words()}. Free some of it, lower {names} of `executor: {{ray: ...}}`, or "
                "raise its patience; what was scored is kept"
            )
        machines = machines_of(self._ray)
        maxima = {kind: max(machine.get(kind, 0) for machine in machines) for kind in KINDS}
        written = ", ".join(f"{key}: {value:g}" for key, value in keys.items())
        return ExecutorError(
            f"no machine of the cluster has room for an actor of {{ray: {{{written}}}}}, and no "
            f"autoscaler adds one: it takes {self._in_words(self._place.resources())}, and "
            f"{counted(len(machines), 'machine')} had at most {self._in_words(maxima)}. Lower "
            f"{names} of `executor`, or add a larger machine"
        )

    def _in_words(self, resources: Mapping[str, float]) -> str:
        """Return CPUs, and GPUs where an actor takes some."""
        words = [_number(resources.get("CPU", 0), "CPU")]
        if self._place.gpus:
            words.append(_number(resources.get("GPU", 0), "GPU"))
        return " and ".join(words)


class Wait:
    """Says what actors wait for, and when they have it, and ends a wait that is too long."""

    def __init__(self, room: Room, say: Callable[[str], None]) -> None:
        self._room = room
        self._say = say
        now = time.monotonic()
        self._had_place = now
        """When an actor last had a place."""
        self._began = now
        """When some of the actors were first without a place."""
        self._said_at: float | None = None
        """When that was last said; None where it was not."""
        self._placed = 0
        """The actors that had a place then."""

    def look(self, placed: int, actors: int) -> None:
        """Take how many of the actors have a place. Raises ExecutorError where none had one for too
        long.
        """
        now = time.monotonic()
        if placed:
            self._had_place = now
        if self._said_at is not None and placed > self._placed:
            self._say(f"ray: {_have(placed, actors)} a place, after {now - self._began:.0f} s")
            self._placed = placed
        if placed == actors:
            self._began = now
            self._said_at = None
            return
        if not placed and now - self._had_place >= self._room.patience():
            raise self._room.refusal()
        if self._is_due(now, placed) and not self._room.is_certain():
            self._said_at = now
            self._placed = placed
            words = f"{_have(placed, actors)} a place: {self._room.words()}"
            self._say(f"ray: {words}. {self._end(placed)}")

    def _is_due(self, now: float, placed: int) -> bool:
        """Return whether a wait is worth a line: once, and again while no actor has a place."""
        if self._said_at is None:
            return now - self._began >= SAY_SECONDS
        return not placed and now - self._said_at >= AGAIN_SECONDS

    def _end(self, placed: int) -> str:
        """Return when a wait ends."""
        if placed:
            return "The others begin where there is room"
        seconds = f"at most {self._room.patience():g} s"
        if self._room.may_come():
            return f"Waiting, {seconds} (patience)"
        return f"No machine is large enough, and no autoscaler adds one: waiting, {seconds}"


def machines_of(ray: Any) -> list[Mapping[str, float]]:
    """Return the resources of every machine of a cluster."""
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def is_fixed() -> bool:
    """Return whether nothing adds machines to the cluster: Ray's monitor mirrors them all. False
    where nobody knows, as with its second autoscaler, which writes no status.
    """
    try:
        store = importlib.import_module("ray.experimental.internal_kv")
        status = json.loads(store._internal_kv_get(STATUS))
        types = status["autoscaler_report"]["node_type_mapping"]
        return bool(types) and all(kind == f"{MIRRORED}{name}" for name, kind in types.items())
    except Exception:  # it is no public fact, and of another version may be another one
        return False


def _have(placed: int, actors: int) -> str:
    if not placed:
        return "no actor has"
    if placed == actors:
        return "every actor has"
    return f"{placed} of {counted(actors, 'actor')} {'has' if placed == 1 else 'have'}"


def _number(count: float, noun: str) -> str:
    """Return a number, a fraction as well, with its noun."""
    return f"{count:g} {noun if count == 1 else f'{noun}s'}"
