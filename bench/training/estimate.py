"""What a training would take: pairs, steps, time and memory, from a few steps on this machine."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from bench.machine import gpu
from bench.machine.fingerprint import peak_rss_bytes, resolve_device
from bench.training.checkpoints import Progress, Workplace
from bench.training.fit import begin, dev_check, plan_of
from bench.training.network import Base
from bench.training.trainer import Plan, open_trainer, repeatable

if TYPE_CHECKING:
    from bench.training.lists import TrainingData
    from bench.training.recipe import Recipe

WARM_UP = 1
"""Steps before those that are timed: the first one allocates memory."""
TIMED = 3
"""Steps that are timed."""
TIMED_LISTS = 2
"""Lists of dev queries that are timed."""


@dataclass(frozen=True)
class Estimate:
    """What a training would take, early stopping left out. `pairs` are those of all epochs,
    `dev_pairs` those of one check; `memory` in bytes is the most that a process of the timed steps
    held: of the device where it is a GPU, else in all; None where the system does not say.
    """

    pairs: int
    steps: int
    checks: int
    dev_pairs: int
    step_seconds: float
    check_seconds: float
    memory: int | None
    device: str
    dtype: str

    @property
    def seconds(self) -> float:
        """Time of all steps and checks."""
        return self.steps * self.step_seconds + self.checks * self.check_seconds


class Stopwatch:
    """Follows a few steps of a training: when each ended."""

    def __init__(self, folder: Path) -> None:
        self.workplace = Workplace(folder, "estimate")
        self.progress = Progress()
        self.ends = [time.perf_counter()]

    def end_step(self, step: int, model: Any) -> tuple[bool, bool]:
        self.ends.append(time.perf_counter())
        return False, False

    def end_save(self, checkpoint: Path) -> None:
        """Nothing is saved."""

    @property
    def step_seconds(self) -> float:
        ends = self.ends[min(WARM_UP, len(self.ends) - 2) :]
        return median(end - start for start, end in pairwise(ends))


def estimate(recipe: Recipe, data: TrainingData, device: str = "auto") -> Estimate:
    """Return what a training would take, by timing a few of its steps. Labels decide nothing.
    Raises BenchError where it could not be trained.
    """
    base = Base(recipe, resolve_device(device))
    base.require()
    plan = plan_of(recipe, data, base)
    few = replace(plan, order=plan.order[: (WARM_UP + TIMED) * plan.batch])
    with repeatable(plan), tempfile.TemporaryDirectory() as folder:
        model = begin(base)
        watch = Stopwatch(Path(folder))
        open_trainer(few, model, watch).train()
        check_seconds, dev_pairs = _check(plan, model, data)
    checks = sum(plan.is_check(step) for step in range(1, plan.steps + 1))
    return Estimate(
        pairs=round(len(plan.order) * plan.rows.pairs),
        steps=plan.steps,
        checks=checks,
        dev_pairs=dev_pairs,
        step_seconds=watch.step_seconds,
        check_seconds=check_seconds,
        memory=peak_memory(plan.device),
        device=plan.device,
        dtype=plan.dtype,
    )


def _check(plan: Plan, model: Any, data: TrainingData) -> tuple[float, int]:
    """Return the seconds of a check, from a few of its lists, and its pairs."""
    pairs = [len(row.documents) for row in data.dev]
    some = [row for row in data.dev if row.documents][:TIMED_LISTS]
    if not some:
        return 0.0, 0
    started = time.perf_counter()
    dev_check(plan, replace(data, dev=some))(model)
    seconds = time.perf_counter() - started
    return seconds * sum(pairs) / sum(len(row.documents) for row in some), sum(pairs)


def peak_memory(device: str) -> int | None:
    """Return the most bytes that this process has held, on the device where it is a GPU; None where
    the system does not say.
    """
    return gpu.memory(device).get("gpu_allocated_bytes", peak_rss_bytes())
