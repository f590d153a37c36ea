"""Actors of one recipe, and the tasks that they are handed, one in flight per actor.

Ray retries nothing here: a task whose actor or node is lost is handed out again by this process,
which alone knows what has been answered. With Ray's own retries (`max_task_retries`) a lost node
takes tasks along that had been queued on it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar

from bench.core.counting import counted
from bench.core.errors import RerankerError, first_line
from bench.core.fresh_python import last_line
from bench.core.printable import one_line, shortened
from bench.core.redaction import redacted_text
from bench.scoring.executors.ray_room import Wait

Item = TypeVar("Item")
ENDINGS = 3
"""Actors that may end over a task before it has failed, and while they load before all have."""
POLL_SECONDS = 1.0


@dataclass
class Task(Generic[Item]):
    """What an actor is handed for an item, and how the actors ended that had it before."""

    item: Item
    payload: Any
    endings: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Reply:
    """What an actor answered; None where `endings` says how all ended that were handed it."""

    value: Any
    endings: tuple[str, ...]


@dataclass
class Seat(Generic[Item]):
    """An actor, and what this process waits for from it."""

    actor: Any
    reference: Any
    state: Literal["waiting", "loading", "free", "at work"] = "waiting"
    """It waits for a place, loads, or is at a task until `reference` is ready."""
    node: str = ""
    task: Task[Item] | None = None


class Pool(Generic[Item]):
    """At most `limit` actors, started when there is a task for them, and replaced where they are
    lost. An actor has the methods `node`, `load` and `work`; `admit` takes what `load` returned,
    and raises where it is not to be used.
    """

    def __init__(
        self,
        ray: Any,
        start: Callable[[], Any],
        admit: Callable[[Any], None],
        limit: int,
        wait: Wait,
    ) -> None:
        self._ray = ray
        self._start = start
        self._admit = admit
        self._limit = limit
        self._wait = wait
        self._seats: list[Seat[Item]] = []
        self._waiting: deque[Task[Item]] = deque()
        self._supply: Iterator[Task[Item]] = iter(())
        self._ended_loading = 0

    def __enter__(self) -> Pool[Item]:
        return self

    def __exit__(self, *raised: object) -> None:
        """End every actor, at work or not."""
        farewells = [seat.actor.leave.remote() for seat in self._seats if seat.state == "free"]
        if farewells and raised[0] is None:
            self._ray.wait(farewells, num_returns=len(farewells), timeout=POLL_SECONDS)
        for seat in self._seats:
            self._ray.kill(seat.actor)
        self._seats.clear()

    def replies(self, tasks: Iterator[Task[Item]]) -> Generator[tuple[Item, Reply]]:
        """Yield each item with its reply, in the order in which they come. Raises ExecutorError
        where no actor has a place, RerankerError where none can load.
        """
        self._supply = tasks
        while self._hand_out():
            for seat in self._ready():
                task, reply = self._settled(seat)
                # before the answer is taken, which keeps this process busy
                self._hand_out()
                if task is not None and reply is not None:
                    yield task.item, reply

    def _hand_out(self) -> bool:
        """Give every free actor a task, and start actors while there are more tasks than actors;
        return whether there is anything left to wait for.
        """
        self._occupy()
        # while the actors work, the next tasks are made ready
        self._take()
        self._occupy()
        while len(self._seats) < min(self._limit, len(self._waiting) + self._at_work()):
            if self._ended_loading and self._loaded():
                # the others do the work
                break
            actor = self._start()
            self._seats.append(Seat(actor, actor.node.remote()))
        return bool(self._waiting) or self._at_work() > 0

    def _occupy(self) -> None:
        for seat in self._seats:
            if seat.state == "free" and self._waiting:
                seat.task = self._waiting.popleft()
                seat.state = "at work"
                seat.reference = seat.actor.work.remote(seat.task.payload)

    def _take(self) -> None:
        """Have a task at hand for each actor next to the one that it is at."""
        while len(self._waiting) < self._limit:
            task = next(self._supply, None)
            if task is None:
                return
            task.payload = self._ray.put(task.payload)
            self._waiting.append(task)

    def _at_work(self) -> int:
        return sum(seat.task is not None for seat in self._seats)

    def _loaded(self) -> bool:
        return any(seat.state in ("free", "at work") for seat in self._seats)

    def _ready(self) -> list[Seat[Item]]:
        """Return the actors that have answered or are lost, after a wait of bounded length."""
        placed = sum(seat.state != "waiting" for seat in self._seats)
        self._wait.look(placed, len(self._seats))
        by_reference = {seat.reference: seat for seat in self._seats if seat.state != "free"}
        references = list(by_reference)
        ready, _ = self._ray.wait(references, num_returns=1, timeout=POLL_SECONDS)
        if ready:
            # those that are ready by now, too
            ready, _ = self._ray.wait(references, num_returns=len(references), timeout=0)
        return [by_reference[reference] for reference in ready]

    def _settled(self, seat: Seat[Item]) -> tuple[Task[Item] | None, Reply | None]:
        """Take what a seat waited for; return the task that it ended, and the reply."""
        errors = self._ray.exceptions
        try:
            value = self._ray.get(seat.reference)
        except errors.RayTaskError as error:
            raise RerankerError(f"an actor failed: {first_line(error.cause or error)}") from error
        except errors.RayError as error:
            return self._lost(seat, error)
        if seat.state == "at work" and seat.task is not None:
            task = seat.task
            seat.task = None
            seat.state = "free"
            return task, Reply(value, tuple(task.endings))
        if seat.state == "waiting":
            seat.node = value
            seat.state = "loading"
            seat.reference = seat.actor.load.remote()
        else:
            self._admit(value)
            self._ended_loading = 0
            seat.state = "free"
        return None, None

    def _lost(self, seat: Seat[Item], error: Exception) -> tuple[Task[Item] | None, Reply | None]:
        """Let go of an actor; its task is the next one that is handed out, unless it has failed."""
        self._seats.remove(seat)
        # where it is only out of reach, nobody waits for it any more
        self._ray.kill(seat.actor)
        task = seat.task
        if task is None:
            self._note_ended_loading(error)
            return None, None
        task.endings.append(self._ending(seat))
        if len(task.endings) < ENDINGS:
            self._waiting.appendleft(task)
            return None, None
        return task, Reply(None, tuple(task.endings))

    def _note_ended_loading(self, error: Exception) -> None:
        self._ended_loading += 1
        if self._ended_loading < ENDINGS or self._loaded():
            return
        reason = shortened(redacted_text(one_line(last_line(str(error)))))
        raise RerankerError(
            f"{counted(self._ended_loading, 'actor')} ended before the model had loaded: {reason}. "
            "Every machine needs this version of rerank-bench, and memory for a copy of the model "
            "per actor"
        )

    def _ending(self, seat: Seat[Item]) -> str:
        """Return how an actor ended, in words that name no machine."""
        alive = {node["NodeID"] for node in self._ray.nodes() if node["Alive"]}
        if seat.node in alive:
            return "ended without an answer"
        return "was lost with its machine"
