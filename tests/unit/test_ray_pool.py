"""The pool of actors in time: how long it waits for a place is counted from when it last had one.
What Ray says is played by a script; tests/integration/test_ray.py has Ray itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from bench.core.errors import RerankerError
from bench.scoring.executors.ray_pool import POLL_SECONDS, Pool, Reply, Task

PATIENCE = 60.0


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
        return []

    def cluster_resources(self) -> dict[str, float]:
        return {"CPU": 1.0}


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> PlayedRay:
    played = PlayedRay()
    monkeypatch.setattr("bench.scoring.executors.ray_pool.time.monotonic", lambda: played.now)
    return played


def replies(ray: PlayedRay, actors: list[PlayedActor]) -> list[tuple[str, Reply]]:
    waiting = iter(actors)
    with Pool[str](ray, lambda: next(waiting), lambda line: None, 1, PATIENCE) as pool:
        return list(pool.replies(iter([Task("item", "payload")])))


def test_after_a_long_work_a_lost_machine_may_take_its_time_to_come_back(ray: PlayedRay) -> None:
    first = PlayedActor(0, 10 * PATIENCE, is_lost=True, clock=ray)
    second = PlayedActor(10 * PATIENCE + PATIENCE - 3 * POLL_SECONDS, 5, is_lost=False, clock=ray)
    ((item, reply),) = replies(ray, [first, second])
    assert (item, reply) == ("item", Reply("scores", ("was lost with its machine",)))


@pytest.mark.parametrize("before", [0, 10 * PATIENCE], ids=["at the start", "after a long work"])
def test_no_place_within_the_patience_is_an_error(ray: PlayedRay, before: float) -> None:
    never = PlayedActor(1e9, 0, is_lost=False, clock=ray)
    actors = [never]
    if before:
        actors.insert(0, PlayedActor(0, before, is_lost=True, clock=ray))
    with pytest.raises(RerankerError, match=r"no room for an actor within 60 s; .* 1 CPUs"):
        replies(ray, actors)
    assert before + PATIENCE <= ray.now <= before + PATIENCE + 3 * POLL_SECONDS
