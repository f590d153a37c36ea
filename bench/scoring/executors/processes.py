"""`processes`: several worker processes on this machine, each with its own copy of the reranker and
its own threads: for CPUs with many cores, and for several GPUs.

Chunks are the same as everywhere, so that scores are; the driver alone reads and writes the score
cache. A worker that is killed costs the chunk that it was at: another one gets it. Timings are
never distributed: the timed pass has no workers.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from queue import SimpleQueue
from threading import Lock
from typing import ClassVar

from bench.contract.recipe import Recipe
from bench.contract.stage import Reranker
from bench.core.counting import counted
from bench.core.errors import RerankerError
from bench.core.note import Code, note
from bench.core.numeric import MOST_THREADS
from bench.core.options import option
from bench.machine.fingerprint import available_devices, usable_cores
from bench.scoring.executors.base import ByRecipe, ExecutorOptions
from bench.scoring.executors.worker_process import UnreadableAnswer, WorkerDied, WorkerProcess
from bench.scoring.job import Answer, Job

WORKERS = 2
"""Workers on a CPU where the suite says nothing: each holds a copy of the model."""


class ProcessesOptions(ExecutorOptions):
    workers: int | None = option(
        None,
        decides="nothing",
        ge=1,
        le=256,
        description="worker processes; 2 on a CPU, one per GPU on cuda when absent",
    )
    threads: int | None = option(
        None,
        decides="nothing",
        ge=1,
        le=MOST_THREADS,
        description="CPU threads of each worker; an equal share of the cores when absent",
    )


class Processes(ByRecipe):
    """Starts a worker when there is a chunk for it, and ends all of them with the trial."""

    Options: ClassVar[type[ExecutorOptions]] = ProcessesOptions
    options: ProcessesOptions
    meaning = "in several processes of this machine, a chunk each; the timed pass stays alone"

    def extent(self, device: str) -> str:
        devices = self.devices(device)
        text = f"{counted(len(devices), 'worker')}, {counted(self.threads(device), 'thread')} each"
        if len(set(devices)) > 1:
            text += f", on {', '.join(dict.fromkeys(devices))}"
        return text

    def devices(self, device: str) -> list[str]:
        """Return the device of each worker. `cuda` without a number is every GPU."""
        places = [device]
        if device == "cuda":
            places = [name for name in available_devices() if name.startswith("cuda")] or places
        workers = self.options.workers
        if workers is None:
            workers = len(places) if device == "cuda" else WORKERS
        return [places[number % len(places)] for number in range(workers)]

    def threads(self, device: str) -> int:
        """Return the CPU threads of each worker."""
        if self.options.threads is not None:
            return self.options.threads
        return max(1, usable_cores() // len(self.devices(device)))

    def answers(
        self, reranker: Reranker, recipe: Recipe, jobs: Iterator[Job]
    ) -> Generator[tuple[Job, Answer]]:
        device = recipe.device
        with Crew(self.name, recipe, self.devices(device), self.threads(device)) as crew:
            for job in jobs:
                crew.begin(job)
                if crew.is_full:
                    yield from crew.finished()
            while crew.is_at_work:
                yield from crew.finished()


class Crew:
    """The workers of one trial. A thread per worker waits for its answers, so that an interrupt
    reaches this process at once.
    """

    def __init__(self, name: str, recipe: Recipe, devices: Sequence[str], threads: int) -> None:
        self._name = name
        self._recipe = recipe
        self._threads = threads
        self._seats = [Seat(device) for device in devices]
        self._free: SimpleQueue[Seat] = SimpleQueue()
        for seat in self._seats:
            self._free.put(seat)
        self._pool = ThreadPoolExecutor(len(devices), thread_name_prefix="scoring")
        self._jobs: dict[Future[Answer], Job] = {}
        self._starting = Lock()
        self._is_closing = False

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, *raised: object) -> None:
        """End every worker, at work or not."""
        with self._starting:
            self._is_closing = True
        for seat in self._seats:
            seat.kill()
        self._pool.shutdown(cancel_futures=True)
        for seat in self._seats:
            seat.leave()

    @property
    def is_at_work(self) -> bool:
        return bool(self._jobs)

    @property
    def is_full(self) -> bool:
        return len(self._jobs) >= len(self._seats)

    def begin(self, job: Job) -> None:
        self._jobs[self._pool.submit(self._answer, job)] = job

    def finished(self) -> Iterator[tuple[Job, Answer]]:
        """Wait until a job is done, and yield those that are. Raises what a job has raised, after
        the answers of the others.
        """
        done, _ = wait(self._jobs, return_when=FIRST_COMPLETED)
        for future in sorted(done, key=lambda future: future.exception() is not None):
            yield self._jobs.pop(future), future.result()

    def _answer(self, job: Job) -> Answer:
        """Have a worker do a job; another one where the first dies over it."""
        seat = self._free.get()
        try:
            try:
                return self._worker(seat).answer(job)
            except WorkerDied as death:
                seat.leave()
                died = note(Code.WORKER_DIED, text=str(death))
            try:
                answer = self._worker(seat).answer(job)
            except WorkerDied as death:
                seat.leave()
                raise RerankerError(self._twice(death)) from death
            return replace(answer, note=died)
        except UnreadableAnswer as problem:
            raise RerankerError(
                f"executor '{self._name}': a worker's answer could not be read: {problem}. Does "
                f"{self._recipe.name} write to files that it has not opened, or go on in a process "
                "that it has forked?"
            ) from problem
        finally:
            self._free.put(seat)

    def _twice(self, death: WorkerDied) -> str:
        """Return what to know of work over which two workers ended."""
        problem = f"two workers ended over the same work; the second {death}"
        if not death.was_killed:
            return problem
        return (
            f"{problem}. Each of the {len(self._seats)} holds a copy of the model: where memory "
            "does not suffice, give executor: {processes: {workers: 1}}, or leave it out"
        )

    def _worker(self, seat: Seat) -> WorkerProcess:
        with self._starting:
            if self._is_closing:
                raise WorkerDied("was not started")
            if seat.worker is None:
                seat.worker = WorkerProcess(
                    replace(self._recipe, device=seat.device), self._threads
                )
            return seat.worker


@dataclass
class Seat:
    """A place for one worker on a device, empty until there is work for it."""

    device: str
    worker: WorkerProcess | None = None

    def kill(self) -> None:
        if self.worker is not None:
            self.worker.kill()

    def leave(self) -> None:
        if self.worker is not None:
            self.worker.close()
            self.worker = None
