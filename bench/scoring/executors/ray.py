"""`ray`: actors of Ray, on this machine or on a cluster, each with its own copy of the reranker.

Chunks are the same as everywhere; this process alone reads and writes the score cache, and hands
out a chunk again where its actor or machine is lost (bench/scoring/executors/ray_pool.py). Timings
are never distributed: Ray is ended, or left, before the timed pass begins.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any, ClassVar, TypeVar

from bench.contract.encoding import EncodedTexts, Encoder
from bench.contract.identity import Fields
from bench.contract.recipe import Recipe
from bench.contract.request import Failure
from bench.contract.stage import Reranker
from bench.core.counting import counted
from bench.core.errors import RerankerError
from bench.core.json_file import in_json
from bench.core.note import Code, Note, note
from bench.core.numeric import MOST_THREADS
from bench.core.options import option
from bench.core.progress import watcher
from bench.core.redaction import redacted
from bench.core.version import version
from bench.machine.fingerprint import usable_cores
from bench.rerankers.description import identified
from bench.scoring.executors import messages
from bench.scoring.executors.base import ByRecipe, ExecutorOptions
from bench.scoring.executors.ray_actor import Actor, ScoringActor
from bench.scoring.executors.ray_encoding import EncodingActor, encoded_texts
from bench.scoring.executors.ray_pool import Pool, Reply, Task
from bench.scoring.executors.ray_room import Place, Room, Wait, machines_of
from bench.scoring.executors.ray_session import Session
from bench.scoring.executors.sources import Sources, modules_of, sources_of
from bench.scoring.job import Answer, Job

Item = TypeVar("Item")
THREADS = 4
"""CPU threads of an actor where the suite says nothing, on machines with twice as many cores."""


class RayOptions(ExecutorOptions):
    address: str | None = option(
        None,
        decides="nothing",
        min_length=1,
        description="HOST:PORT of a cluster that runs, of which this machine is one, also as "
        "ray://HOST:PORT; auto for the one that this machine belongs to. Absent: $RAY_ADDRESS, "
        "else this machine alone",
    )
    workers: int | None = option(
        None,
        decides="nothing",
        ge=1,
        le=4096,
        description="actors at most; as many as the CPUs, or on cuda the GPUs, have room for when "
        "absent",
    )
    threads: int | None = option(
        None,
        decides="nothing",
        ge=1,
        le=MOST_THREADS,
        description="CPU threads of each actor; half of the smallest machine's cores, on cuda its "
        "cores per GPU, at most 4, when absent",
    )
    cpus: float | None = option(
        None,
        decides="nothing",
        ge=0,
        description="CPUs of the cluster that each actor takes; its threads when absent",
    )
    gpus: float = option(
        1,
        decides="nothing",
        gt=0,
        description="GPUs that each actor takes on cuda; 0.5 lets two share one",
    )
    patience: float = option(
        600,
        decides="nothing",
        gt=0,
        description="seconds to wait for a machine that has room for a first actor",
    )


class Ray(ByRecipe):
    """Connects when there is a first chunk, starts an actor when there is a chunk for it, and ends
    all of them with the trial.
    """

    Options: ClassVar[type[RayOptions]] = RayOptions
    options: RayOptions
    meaning = "in actors of Ray, here or on a cluster, a chunk each; the timed pass stays alone"

    def __init__(self, name: str, options: RayOptions) -> None:
        super().__init__(name, options)
        threads = options.threads or default_threads(usable_cores())
        wanted = (options.workers or 1) * (threads if options.cpus is None else options.cpus)
        self._session = Session(options.address, max(usable_cores(), math.ceil(wanted)))

    def check(self) -> None:
        self._session.check()

    def close(self) -> None:
        self._session.close()

    def extent(self, device: str) -> str:
        if self.options.workers is None:
            return ""
        return f"at most {counted(self.options.workers, 'actor')}"

    def answers(
        self, reranker: Reranker, recipe: Recipe, jobs: Iterator[Job]
    ) -> Generator[tuple[Job, Answer]]:
        tasks = (Task(job, messages.of_requests(job.requests)) for job in jobs)
        modules = modules_of(recipe, reranker.parts)
        work = Work(ScoringActor, recipe, modules, identified(reranker))
        for job, reply in self._replies(work, tasks):
            yield job, _answer(job, reply)

    def encoder(self) -> Encoder | None:
        return self

    def encode(
        self,
        recipe: Recipe,
        decided_by: Fields,
        items: Iterator[tuple[Item, Sequence[str]]],
    ) -> Generator[tuple[Item, EncodedTexts]]:
        tasks = (Task(item, list(texts)) for item, texts in items)
        work = Work(EncodingActor, recipe, modules_of(recipe), decided_by)
        for item, reply in self._replies(work, tasks):
            if reply.value is None:
                raise RerankerError(f"{_ended(reply)} over the same texts")
            yield item, encoded_texts(reply.value)._replace(note=_died(reply))

    def _replies(self, work: Work, tasks: Iterator[Task[Any]]) -> Generator[tuple[Any, Reply]]:
        """Yield each item with the reply of an actor."""
        # what is in the cache needs no cluster
        first = next(tasks, None)
        if first is None:
            return
        ray = self._session.connected()
        place = self._place(ray, work.recipe.device)
        recipe = replace(work.recipe, device=place.device)
        line = messages.of_recipe(recipe)
        sources = ray.put(work.sources())
        kind = ray.remote(work.actor).options(
            num_cpus=place.cpus,
            num_gpus=place.gpus,
            max_restarts=0,
            max_task_retries=0,
        )

        def start() -> Any:
            return kind.remote(line, sources, place.threads)

        is_own = self._session.is_own
        room = Room(ray, place, self.options.patience, is_own=is_own)
        wait = Wait(room, watcher().waits)
        with Pool[Any](ray, start, work.admit, place.workers, wait) as pool:
            yield from pool.replies(chain([first], tasks))

    def _place(self, ray: Any, device: str) -> Place:
        """Return what each actor takes of the cluster, and how many there is room for."""
        machines = machines_of(ray)
        gpus = 0.0
        if device.startswith("cuda"):
            # the one that an actor sees has the number 0 there
            device = "cuda"
            gpus = self.options.gpus
        threads = self.options.threads or threads_for(machines, gpus)
        place = Place(device, threads, float(threads), gpus, cpus_key="threads")
        if self.options.cpus is not None:
            place = replace(place, cpus=self.options.cpus, cpus_key="cpus")
        rooms = sum(map(place.rooms, machines))
        return replace(place, workers=self.options.workers or max(1, rooms))


class Work:
    """What actors are started for: their class, the recipe, the modules that it names, and what
    decides its results, as this process has it.
    """

    def __init__(
        self,
        actor: type[Actor],
        recipe: Recipe,
        modules: Iterable[str],
        decided_by: Mapping[str, Any],
    ) -> None:
        self.actor = actor
        self.recipe = recipe
        self._modules = tuple(modules)
        self._decided_by = in_json(redacted(decided_by))

    def sources(self) -> Sources:
        """Return the files of outsiders' modules among these. Raises RerankerError."""
        return sources_of(self._modules)

    def admit(self, line: str) -> None:
        """Raise RerankerError where an actor has loaded what gives other results than what this
        process has: nothing of it may reach the cache.
        """
        loaded = messages.message_of(line)
        if loaded["version"] != version():
            raise RerankerError(
                f"a machine of the cluster has rerank-bench {loaded['version']}, and this one "
                f"{version()}: all need the same"
            )
        theirs = in_json(redacted(loaded["decided_by"]))
        names = [
            name
            for name in sorted({*theirs, *self._decided_by})
            if theirs.get(name) != self._decided_by.get(name)
        ]
        if names:
            pairs = [
                f"{name}: {self._decided_by.get(name)} here, {theirs.get(name)} there"
                for name in names
            ]
            raise RerankerError(
                f"a machine of the cluster loads something else than this one: {'; '.join(pairs)}"
            )


def default_threads(cores: int) -> int:
    """Return the threads of an actor on a machine with these cores: two actors have room."""
    return max(1, min(THREADS, cores // 2))


def threads_for(machines: Sequence[Mapping[str, float]], gpus: float) -> int:
    """Return the threads of an actor with which the smallest machine has room for two, or for one
    per share of its GPUs where an actor takes `gpus`.
    """
    if not gpus:
        cores = [machine["CPU"] for machine in machines if machine.get("CPU")]
        return default_threads(int(min(cores, default=1)))
    shares = [
        machine.get("CPU", 0) * gpus / machine["GPU"]
        for machine in machines
        if machine.get("GPU", 0) >= gpus
    ]
    return max(1, min(THREADS, int(min(shares, default=1))))


def _answer(job: Job, reply: Reply) -> Answer:
    """Return the answer of an actor; a failure of each list where all ended over it."""
    if reply.value is None:
        failure = Failure(f"{_ended(reply)} over these lists")
        return Answer([failure] * len(job.requests), query_ids=job.query_ids)
    return replace(messages.answer_of(reply.value, job.meter), note=_died(reply))


def _ended(reply: Reply) -> str:
    """Return how many actors ended over a task, and how."""
    endings = " and ".join(dict.fromkeys(reply.endings))
    return f"{counted(len(reply.endings), 'actor')} {endings}"


def _died(reply: Reply) -> Note | None:
    """Return what to know of a reply that another actor was to give."""
    if not reply.endings:
        return None
    return note(Code.WORKER_DIED, text=reply.endings[-1])
