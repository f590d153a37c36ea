"""sentence-transformers' trainers at work on a recipe: the order of the rows, checkpoints that
bring back the same weights, checks on dev queries.

A step reads the same rows whatever happened before it: the rows of all epochs are put in order at
the start, seeded, so that going on after a kill only skips. Library: Tom Aarsen et al.,
https://sbert.net/docs/package_reference/cross_encoder/trainer.html, over transformers' Trainer.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from bench.core.errors import RerankerError
from bench.models.quiet import quiet
from bench.training import network
from bench.training.checkpoints import WEIGHTS, CurvePoint, Progress, Workplace
from bench.training.kinds import Kind
from bench.training.losses import Objective, Rows
from bench.training.recipe import Recipe

SAVE_EVERY_S = 60.0
"""Seconds of work that a kill may lose, at most, next to the work between two steps."""
REPORTED = ("wandb", "sentence_transformers.base.trainer")


@dataclass(frozen=True)
class Plan:
    """What a training will do, settled before it begins. `order` are rows, those of all epochs."""

    recipe: Recipe
    kind: Kind
    objective: Objective
    rows: Rows
    order: Sequence[int]
    batch: int
    """Rows per step."""
    device: str
    dtype: str

    @property
    def steps(self) -> int:
        return math.ceil(len(self.order) / self.batch)

    @property
    def every(self) -> int:
        """Steps from one check on dev queries to the next."""
        per_epoch = self.steps / self.recipe.epochs
        return max(1, round(per_epoch / self.recipe.checks))

    def is_check(self, step: int) -> bool:
        return step % self.every == 0 or step == self.steps


def row_order(rows: Rows, recipe: Recipe, batch: int, *, repels: bool) -> list[int]:
    """Return the rows of all epochs, each epoch shuffled by the seed. Where documents of a batch
    repel each other, no two rows of a batch have a positive or a query in common, as far as there
    are others.
    """
    import numpy as np

    generator = np.random.default_rng(recipe.seed)
    total = max(1, round(recipe.epochs * len(rows)))
    order: list[int] = []
    while len(order) < total:
        epoch = generator.permutation(len(rows)).tolist()
        if repels:
            epoch = _apart(epoch, rows, batch)
        order += epoch
    return order[:total]


def _apart(epoch: Sequence[int], rows: Rows, batch: int) -> list[int]:
    """Return the rows in batches of different texts; those that fit into none come last."""
    queries, positives = rows.columns["query"], rows.columns["positive"]
    waiting = list(epoch)
    order: list[int] = []
    while waiting:
        texts: set[str] = set()
        chosen: list[int] = []
        rest: list[int] = []
        for place in waiting:
            own = {queries[place], positives[place]}
            if len(chosen) < batch and not own & texts:
                chosen.append(place)
                texts |= own
            else:
                rest.append(place)
        order += chosen
        waiting = rest
    return order


class Watch:
    """Follows a training: losses, checks on dev queries, best weights, and when to stop."""

    def __init__(
        self,
        plan: Plan,
        workplace: Workplace,
        progress: Progress,
        check: Callable[[Any], float],
        tell: Callable[[Progress], None],
    ) -> None:
        self.plan = plan
        self.workplace = workplace
        self.progress = progress
        self._check = check
        self._tell = tell
        self._started = time.monotonic()
        self._before = progress.seconds
        self._saved = time.monotonic()

    def end_step(self, step: int, model: Any) -> tuple[bool, bool]:
        """Check the model where it is time. Return whether to save, and whether to stop."""
        is_check = self.plan.is_check(step)
        if is_check:
            self._add_check(step, model)
        self._tell(self.progress)
        is_late = time.monotonic() - self._saved >= SAVE_EVERY_S
        is_over = self.progress.is_stale(self.plan.recipe.patience)
        return is_check or is_late, is_over

    def _add_check(self, step: int, model: Any) -> None:
        progress = self.progress
        loss = math.fsum(progress.losses) / max(1, len(progress.losses))
        point = CurvePoint(step, loss, self._check(model))
        progress.losses.clear()
        progress.curve.append(point)
        if progress.best == point:
            network.write_trainable(model, self.workplace.best_weights(step))

    def end_save(self, checkpoint: Path) -> None:
        self.progress.seconds = self._before + time.monotonic() - self._started
        self.workplace.finish_checkpoint(checkpoint, self.progress)
        self._saved = time.monotonic()


class Follows(Protocol):
    """What a trainer tells of its steps and checkpoints."""

    workplace: Workplace
    progress: Progress

    def end_step(self, step: int, model: Any) -> tuple[bool, bool]: ...

    def end_save(self, checkpoint: Path) -> None: ...


def open_trainer(plan: Plan, model: Any, watch: Follows) -> Any:
    """Return sentence-transformers' trainer of a kind of model, ready to train."""
    import sentence_transformers
    from datasets import Dataset

    kind = _trainer_class(getattr(sentence_transformers, plan.kind.trainer))
    table = Dataset.from_dict(plan.rows.columns).select(plan.order)
    trainer = kind(
        model=model,
        args=_arguments(plan, watch.workplace.folder),
        train_dataset=table,
        loss=plan.objective.build(model, plan.device),
    )
    trainer.follow(watch)
    return trainer


def _arguments(plan: Plan, folder: Path) -> Any:
    import sentence_transformers

    recipe = plan.recipe
    arguments = getattr(sentence_transformers, plan.kind.arguments)(
        output_dir=str(folder),
        num_train_epochs=1,
        per_device_train_batch_size=plan.batch,
        learning_rate=recipe.rate,
        warmup_steps=math.ceil(recipe.warmup * plan.steps),
        lr_scheduler_type="linear",
        seed=recipe.seed,
        bf16=plan.dtype == "bfloat16",
        save_strategy="no",
        eval_strategy="no",
        logging_strategy="no",
        report_to="none",
        disable_tqdm=True,
        dataloader_pin_memory=False,
        use_cpu=plan.device == "cpu",
    )
    # one card: several would train on other sums, by threads
    if arguments.n_gpu > 1:
        arguments._n_gpu = 1
    return arguments


def _trainer_class(base: Any) -> Any:
    """Return a trainer of the library whose rows keep their order, and whose checkpoints hold what
    is trained as safetensors and no pickled settings.
    """
    from sentence_transformers import DefaultBatchSampler
    from torch.utils.data import SequentialSampler
    from transformers import PrinterCallback, TrainerCallback

    class InOrder(DefaultBatchSampler):  # type: ignore[misc]
        """Takes the rows as they are."""

    class Trainer(base):  # type: ignore[misc]
        """See `_trainer_class`."""

        def follow(self, watch: Follows) -> None:
            self.watch = watch
            self.remove_callback(PrinterCallback)
            self.add_callback(Follower(self))

        def add_model_card_callback(self, default_args_dict: dict[str, Any]) -> None:
            """Write no card of the library's: ours has the comparison."""

        def get_batch_sampler(
            self, dataset: Any, batch_size: int, drop_last: bool, *args: Any, **kwargs: Any
        ) -> Any:
            return InOrder(SequentialSampler(dataset), batch_size=batch_size, drop_last=drop_last)

        def training_step(self, *args: Any, **kwargs: Any) -> Any:
            loss = super().training_step(*args, **kwargs)
            value = float(loss)
            if not math.isfinite(value):
                raise RerankerError(
                    f"the loss of step {self.state.global_step + 1} is no number: give a lower "
                    f"rate than {self.args.learning_rate:g}"
                )
            self.watch.progress.losses.append(value)
            return loss

        def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
            folder = Path(output_dir or self.args.output_dir)
            folder.mkdir(parents=True, exist_ok=True)
            network.write_trainable(self.model, folder / WEIGHTS)

        def _load_from_checkpoint(self, checkpoint_path: str) -> None:
            network.read_trainable(self.model, Path(checkpoint_path) / WEIGHTS)

    class Follower(TrainerCallback):  # type: ignore[misc]
        """Tells the watch of each step and each checkpoint."""

        def __init__(self, owner: Any) -> None:
            self._owner = owner

        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            is_due, is_over = self._owner.watch.end_step(state.global_step, self._owner.model)
            control.should_save = is_due
            control.should_training_stop = control.should_training_stop or is_over

        def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
            self._owner.watch.end_save(folder)

    return Trainer


@contextmanager
def repeatable(plan: Plan) -> Iterator[None]:
    """Have torch compute the same bits each time, on a GPU too, and the libraries stay silent.

    Source: https://pytorch.org/docs/stable/notes/randomness.html.
    """
    import torch

    if plan.device == "cpu":
        with quiet(*REPORTED):
            yield
        return
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        with quiet(*REPORTED):
            yield
    finally:
        torch.use_deterministic_algorithms(before)
