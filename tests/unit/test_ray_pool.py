"""The pool of actors in time: how long it waits for a place is counted from when it last had one.
What Ray says is played by a script; tests/integration/test_ray.py has Ray itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from bench.contract.recipe import Recipe
from bench.core.errors import ExecutorError, RerankerError
from bench.core.version import version
from bench.scoring.executors import ray_room
from bench.scoring.executors.messages import of_loaded
from bench.scoring.executors.ray import Work, threads_for
from bench.scoring.executors.ray_actor import ScoringActor
from bench.scoring.executors.ray_pool import POLL_SECONDS, Pool, Reply, Task
from bench.scoring.executors.ray_room import (
    AGAIN_SECONDS,
    JOIN_SECONDS,
    SAY_SECONDS,
    Place,
    Room,
    Wait,
)

PATIENCE = 60.0
SMALL = Place("cpu", 1, 1, 0)


class TaskError(Exception):
    cause = None


class Lost(Exception):
    pass


class PlayedActor:
    """Gets its place at `placed_at`, and loses it `works` seconds after it was given a task, or
    answers then where it is not to be lost.
    """

    def __init__(self, placed_at: float, works: float, *, is_lost: bool, clock: PlayedRay) -> None:
        self.node = _method(lambda: (placed_at, "machine"))
        self.load = _method(lambda: (clock.now, "loaded"))
        self.leave = _method(lambda: (clock.now, None))
        ending: Any = Lost() if is_lost else "scores"
        self.work = _method(lambda *payload: (clock.now + works, ending))


def _method(function: Callable[..., tuple[float, Any]]) -> SimpleNamespace:
    return SimpleNamespace(remote=function)


class PlayedRay:
    """What the pool asks of Ray; references are pairs of when they are ready and what they hold."""

    exceptions = SimpleNamespace(RayTaskError=TaskError, RayError=Lost)

    def __init__(self) -> None:
        self.now = 0.0
        self.resources = {"CPU": 2.0}

    def put(self, payload: Any) -> Any:
        return payload

    def wait(
        self, references: Sequence[tuple[float, Any]], num_returns: int, timeout: float
    ) -> tuple[list[tuple[float, Any]], list[Any]]:
        ready = [reference for reference in references if reference[0] <= self.now]
        if not ready:
            self.now += timeout
        return ready, []

    def get(self, reference: tuple[float, Any]) -> Any:
        if isinstance(reference[1], Lost):
            raise reference[1]
        return reference[1]

    def kill(self, actor: PlayedActor) -> None:
        pass

    def nodes(self) -> list[dict[str, Any]]:
        return [{"NodeID": "m1", "Alive": True, "Resources": self.resources}]

    def available_resources(self) -> dict[str, float]:
        return {"CPU": 0.0}


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> PlayedRay:
    played = PlayedRay()
    monkeypatch.setattr("bench.scoring.executors.ray_room.time.monotonic", lambda: played.now)
    return played


@pytest.fixture
def grows(monkeypatch: pytest.MonkeyPatch) -> None:
    """An autoscaler is at work."""
    monkeypatch.setattr(ray_room, "is_fixed", lambda: False)


@pytest.fixture
def fixed(monkeypatch: pytest.MonkeyPatch) -> None:
    """No autoscaler is at work."""
    monkeypatch.setattr(ray_room, "is_fixed", lambda: True)


def replies(
    ray: PlayedRay,
    actors: list[PlayedActor],
    said: list[str] | None = None,
    *,
    place: Place = SMALL,
    is_own: bool = False,
    patience: float = PATIENCE,
) -> list[tuple[str, Reply]]:
    """Return the replies to as many tasks as there are actors at a time."""
    waiting = iter(actors)
    lines: list[str] = [] if said is None else said
    wait = Wait(Room(ray, place, patience, is_own=is_own), lines.append)
    tasks = [Task(f"item {number}", "payload") for number in range(place.workers)]
    with Pool[str](ray, lambda: next(waiting), lambda line: None, place.workers, wait) as pool:
        return list(pool.replies(iter(tasks)))


def test_after_a_long_work_a_lost_machine_may_take_its_time_to_come_back(ray: PlayedRay) -> None:
    first = PlayedActor(0, 10 * PATIENCE, is_lost=True, clock=ray)
    second = PlayedActor(10 * PATIENCE + PATIENCE - 3 * POLL_SECONDS, 5, is_lost=False, clock=ray)
    ((item, reply),) = replies(ray, [first, second])
    assert (item, reply) == ("item 0", Reply("scores", ("was lost with its machine",)))


@pytest.mark.parametrize("before", [0, 10 * PATIENCE], ids=["at the start", "after a long work"])
def test_no_place_within_the_patience_is_an_error(ray: PlayedRay, before: float) -> None:
    never = PlayedActor(1e9, 0, is_lost=False, clock=ray)
    actors = [never]
    if before:
        actors.insert(0, PlayedActor(0, before, is_lost=True, clock=ray))
    with pytest.raises(ExecutorError, match=r"no room for an actor within 60 s: .* has 2 CPUs"):
        replies(ray, actors)
    assert before + PATIENCE <= ray.now <= before + PATIENCE + 3 * POLL_SECONDS


def test_a_wait_for_a_place_is_said_and_its_end(ray: PlayedRay) -> None:
    said: list[str] = []
    placed_at = SAY_SECONDS + AGAIN_SECONDS + 30
    late = PlayedActor(placed_at, 5, is_lost=False, clock=ray)
    replies(ray, [late], said, patience=600)
    waits = (
        "ray: no actor has a place: each takes 1 CPU, and the cluster has 2 CPUs on 1 machine, "
        "of which 0 CPUs are free. Waiting, at most 600 s (patience)"
    )
    assert said == [waits, waits, f"ray: every actor has a place, after {placed_at:.0f} s"]


def test_a_place_that_comes_at_once_is_worth_no_line(ray: PlayedRay) -> None:
    said: list[str] = []
    replies(ray, [PlayedActor(SAY_SECONDS - 1, 500, is_lost=False, clock=ray)], said)
    assert said == []


def test_actors_that_wait_while_others_work_are_said_once(ray: PlayedRay) -> None:
    said: list[str] = []
    actors = [
        PlayedActor(1, 400, is_lost=False, clock=ray),
        PlayedActor(300, 5, is_lost=False, clock=ray),
    ]
    replies(ray, actors, said, place=replace(SMALL, workers=2))
    first, second = said
    assert first.startswith("ray: 1 of 2 actors has a place: each takes 1 CPU, ")
    assert first.endswith("The others begin where there is room")
    assert second.startswith("ray: every actor has a place, after 300 s")


def test_in_a_ray_of_its_own_a_slow_start_is_no_wait_for_room(ray: PlayedRay) -> None:
    said: list[str] = []
    slow = PlayedActor(5 * SAY_SECONDS, 5, is_lost=False, clock=ray)
    replies(ray, [slow], said, is_own=True)
    assert said == []


@pytest.mark.usefixtures("fixed")
@pytest.mark.parametrize(
    ("place", "words"),
    [
        (
            Place("cpu", 1, 64, 0),
            "for an actor of {ray: {cpus: 64}}, and no autoscaler adds one: it takes 64 CPUs, and "
            "1 machine had at most 2 CPUs. Lower cpus of `executor`, or add a larger machine",
        ),
        (
            Place("cuda", 2, 2, 0.5, cpus_key="threads"),
            "for an actor of {ray: {threads: 2, gpus: 0.5}}, and no autoscaler adds one: it takes "
            "2 CPUs and 0.5 GPUs, and 1 machine had at most 2 CPUs and 0 GPUs. Lower threads or "
            "gpus of `executor`, or add a larger machine",
        ),
    ],
)
@pytest.mark.parametrize(("is_own", "seconds"), [(True, 0), (False, JOIN_SECONDS)])
def test_more_than_any_machine_has_is_an_error_at_once(
    ray: PlayedRay, place: Place, words: str, seconds: float, *, is_own: bool
) -> None:
    """Machines of a cluster that has just been started have some seconds to join it."""
    never = PlayedActor(1e9, 0, is_lost=False, clock=ray)
    with pytest.raises(ExecutorError) as error:
        replies(ray, [never], place=place, is_own=is_own, patience=600)
    assert str(error.value) == f"no machine of the cluster has room {words}"
    assert seconds <= ray.now <= seconds + 3 * POLL_SECONDS


@pytest.mark.usefixtures("grows")
def test_an_autoscaler_may_add_a_larger_machine(ray: PlayedRay) -> None:
    said: list[str] = []
    late = PlayedActor(300, 5, is_lost=False, clock=ray)
    replies(ray, [late], said, place=Place("cpu", 1, 64, 0), patience=600)
    assert said[-1] == "ray: every actor has a place, after 300 s"


@pytest.mark.usefixtures("fixed")
def test_a_machine_that_joins_in_time_gives_the_place(ray: PlayedRay) -> None:
    said: list[str] = []
    late = PlayedActor(JOIN_SECONDS - 5, 5, is_lost=False, clock=ray)
    replies(ray, [late], said, place=Place("cpu", 1, 64, 0), patience=600)
    assert "No machine is large enough, and no autoscaler adds one" in said[0]


@pytest.mark.parametrize(
    ("place", "machine", "rooms"),
    [
        (Place("cpu", 2, 2, 0), {"CPU": 5.0}, 2),
        (Place("cuda", 1, 1, 0.1), {"CPU": 16.0, "GPU": 1.0}, 10),
        # an actor takes CPUs on a machine with GPUs, too
        (Place("cuda", 4, 4, 1), {"CPU": 8.0, "GPU": 8.0}, 2),
        (Place("cuda", 4, 4, 1), {"CPU": 8.0}, 0),
        (Place("cpu", 1, 0, 0), {"CPU": 8.0}, 1),
    ],
)
def test_a_machine_has_room_for_what_fits_by_cpus_and_gpus(
    place: Place, machine: dict[str, float], rooms: int
) -> None:
    assert place.rooms(machine) == rooms


def test_threads_leave_room_for_an_actor_per_gpu() -> None:
    machines = [{"CPU": 16.0, "GPU": 8.0}, {"CPU": 64.0}]
    assert threads_for(machines, 1) == 2
    assert threads_for(machines, 0.5) == 1
    assert threads_for(machines, 0) == 4
    assert threads_for([], 1) == 1


def test_an_actor_that_loads_the_same_is_admitted_also_by_what_is_no_number() -> None:
    decided_by = {"backend": "endless", "limit": math.nan}
    work = Work(ScoringActor, Recipe("endless", None, "."), [], decided_by)
    work.admit(of_loaded({"version": version(), "decided_by": decided_by}))
    with pytest.raises(RerankerError, match="limit"):
        work.admit(of_loaded({"version": version(), "decided_by": {"backend": "endless"}}))
