"""Training by a recipe: from judged lists to a model folder, in steps that a kill does not lose."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.core.atomic import clear_building, whole_folder
from bench.core.digest import digest_of
from bench.core.errors import BenchError, DataError, RerankerError
from bench.core.json_file import json_value
from bench.core.kept_folder import is_intact, seal
from bench.core.progress import Observer
from bench.datasets.base import content_hash
from bench.datasets.leaks import Seen
from bench.machine import cpu
from bench.machine.fingerprint import resolve_device
from bench.models import seen_queries
from bench.models.saving import saving
from bench.models.sentence_transformer import INSTRUCTIONS
from bench.models.weights import versions
from bench.ranking.order import rank
from bench.training import network
from bench.training.checkpoints import (
    PROGRESS,
    CurvePoint,
    Progress,
    Workplace,
    alone_in,
    best_of,
    step_of,
)
from bench.training.network import Base
from bench.training.trainer import Plan, Watch, open_trainer, repeatable, row_order

if TYPE_CHECKING:
    from bench.training.lists import TrainingData, TrainingList
    from bench.training.recipe import Recipe

LOG = seen_queries.TRAINING
"""JSON, a line for the training and one per check. No part of the model: two trainings with the
same weights differ in their seconds.
"""
MEASURE = "nDCG@10"
DEV_PAIRS = 32
"""Pairs per forward pass of a check."""
ELSEWHERE = frozenset(
    ("name", "description", "base", "data", "dev", "test", "split_by", "leaks", "depth")
) | {"negatives", "teacher", "fractions"}
"""The keys of a recipe that decide nothing once there are the lists and the weights of the base."""
TRAINER = 1
"""Another number where the same recipe and lists train other weights."""


@dataclass(frozen=True)
class Fitted:
    """A finished training. `steps` are those that ran, of `planned`; `queries` and `pairs` are
    those trained on; `seconds` are of all the processes that it took.
    """

    folder: Path
    key: str
    curve: Sequence[CurvePoint]
    planned: int
    rows: int
    queries: int
    pairs: int
    seconds: float
    device: str
    dtype: str
    versions: dict[str, str]

    @property
    def best(self) -> CurvePoint:
        """The check whose weights were kept: the first of the best."""
        return best_of(self.curve)

    @property
    def best_step(self) -> int:
        return self.best.step

    @property
    def steps(self) -> int:
        return self.curve[-1].step


def fit(
    recipe: Recipe,
    data: TrainingData,
    folder: Path,
    observer: Observer,
    device: str = "auto",
    *,
    fresh: bool = False,
) -> Fitted:
    """Train the model of a recipe into a folder, and return what came of it.

    A training that was killed goes on from its last checkpoint, next to the folder, and ends with
    the same weights on the same machine; one of another recipe or other data begins anew. A folder
    that this training has filled before is returned as it is, and filled anew where its files have
    changed since. With `fresh` nothing of before is used. Raises BenchError where the folder holds
    anything else.
    """
    place = resolve_device(device)
    base = Base(recipe, place)
    base.require()
    key = training_key(recipe, data, base)
    workplace = Workplace(folder.with_name(f"{folder.name}.training"), key)
    with alone_in(folder):
        clear_building(folder)
        if fresh:
            _remove(folder, workplace)
        fitted = read_log(folder)
        if fitted is not None and fitted.key == key and not is_intact(folder):
            observer.note(f"{recipe.name}: the model's files were changed: it is trained anew")
            fitted = None
        if fitted is None or fitted.key != key:
            refuse_other(folder)
            fitted = _train(base, data, folder, workplace, key, observer)
        if not (folder / seen_queries.FILE).is_file():
            # of a version that wrote none
            seen_queries.write(_seen(data, base), folder)
        workplace.remove()
    return fitted


def training_key(recipe: Recipe, data: TrainingData, base: Base) -> str:
    """Return what decides the weights of a training, as a digest."""
    fields = {name: value for name, value in recipe.resolved().items() if name not in ELSEWHERE}
    fields |= {"loss": recipe.objective, "dtype": number_format(recipe, base)}
    rows = (
        (row.query_id, row.query, *row.doc_ids, *row.documents, *map(_exact, row.labels))
        for row in (*data.train, *data.dev)
    )
    judgments = {query_id: dict(grades) for query_id, grades in data.dev_qrels.items()}
    return digest_of(
        {
            "recipe": fields,
            "lists": content_hash(rows),
            "positives": data.positives,
            "dev": judgments,
            "base": base.checkpoint().fields(),
            "libraries": versions(*base.libraries()),
            "device": base.device,
            "trainer": TRAINER,
        }
    )


def _exact(label: float) -> str:
    return float(label).hex()


def refuse_other(folder: Path) -> None:
    """Raise BenchError for a folder with anything in it that no training left."""
    if folder.exists() and (not folder.is_dir() or _is_foreign(folder)):
        raise BenchError(f"{folder}: holds something else: give another folder, or remove it")


def _is_foreign(folder: Path) -> bool:
    return any(folder.iterdir()) and read_log(folder) is None


def _remove(folder: Path, workplace: Workplace) -> None:
    """Remove a model that a training has left, and its checkpoints. Raises BenchError for a folder
    with anything else in it.
    """
    refuse_other(folder)
    shutil.rmtree(folder, ignore_errors=True)
    workplace.remove()


def plan_of(recipe: Recipe, data: TrainingData, base: Base) -> Plan:
    """Return what a training will do. Raises DataError where there is nothing to learn, or nothing
    to choose the best step by.
    """
    objective = base.kind.objectives[str(recipe.objective)]
    rows = objective.rows(data)
    if not len(rows):
        raise DataError("no list to train on has both a relevant document and another one")
    if not data.dev_qrels:
        raise DataError("no dev queries: give a larger share, or a dataset, as dev")
    batch = max(1, round(recipe.batch / rows.pairs))
    order = row_order(rows, recipe, batch, repels=objective.repels)
    return Plan(
        recipe, base.kind, objective, rows, order, batch, base.device, number_format(recipe, base)
    )


def number_format(recipe: Recipe, base: Base) -> str:
    """Return the number format of the arithmetic."""
    if recipe.dtype is not None:
        return recipe.dtype
    if base.device.startswith("cuda"):
        import torch

        return "bfloat16" if torch.cuda.is_bf16_supported() else "float32"
    is_fast = set(INSTRUCTIONS["bfloat16"]) & set(cpu.instructions() or ())
    return "bfloat16" if is_fast and base.device == "cpu" else "float32"


def begin(base: Base) -> Any:
    """Return the loaded model with its adapters, what is new in it drawn by the recipe's seed."""
    import torch

    torch.manual_seed(base.recipe.seed)
    model = base.load()
    if base.recipe.lora is not None:
        network.adapt(model, base.recipe.lora)
    return model


def _train(
    base: Base,
    data: TrainingData,
    folder: Path,
    workplace: Workplace,
    key: str,
    observer: Observer,
) -> Fitted:
    recipe = base.recipe
    plan = plan_of(recipe, data, base)
    if workplace.open():
        observer.note(
            f"{recipe.name}: the checkpoints there are of another recipe or of other data, and "
            "are not continued"
        )
    checkpoint = workplace.checkpoint()
    progress = Progress()
    if checkpoint is not None:
        progress = Progress.read(checkpoint / PROGRESS)
        observer.note(f"{recipe.name}: goes on from {checkpoint.name}")
    with repeatable(plan):
        model = begin(base)
        _follow(plan, model, workplace, progress, checkpoint, dev_check(plan, data), observer)
        best = progress.best
        if best is None:
            raise RerankerError(f"{recipe.name}: no check of the model was made")
        network.read_trainable(model, workplace.best_weights(best.step))
        with whole_folder(folder, replace=True) as new:
            network.save(model, new, recipe.lora, base)
            fitted = Fitted(
                folder,
                key,
                progress.curve,
                plan.steps,
                len(plan.rows),
                len(data.train),
                sum(len(row.documents) for row in data.train),
                progress.seconds,
                plan.device,
                plan.dtype,
                versions(*base.libraries()),
            )
            write_log(fitted, new)
            seen_queries.write(_seen(data, base), new)
            # whole and as it was written, or trained anew
            seal(new)
    return fitted


def _seen(data: TrainingData, base: Base) -> Seen:
    """Return what a trained model has seen: in this training, and in those of its base."""
    return seen_queries.together(data.seen, base.seen)


def _follow(
    plan: Plan,
    model: Any,
    workplace: Workplace,
    progress: Progress,
    checkpoint: Path | None,
    check: Callable[[Any], float],
    observer: Observer,
) -> None:
    """Train to the end, from a checkpoint where there is one."""
    begun = step_of(checkpoint) if checkpoint is not None else 0
    if begun >= plan.steps or progress.is_stale(plan.recipe.patience):
        return
    with observer.task(f"{plan.recipe.name}: training", plan.steps, "steps") as advance:
        advance(begun)

        def report(progress: Progress) -> None:
            advance(1)
            if progress.curve and not progress.losses:
                point = progress.curve[-1]
                observer.value(f"loss {point.loss:.3f}, dev {MEASURE} {point.ndcg:.4f}")

        watch = Watch(plan, workplace, progress, check, report)
        resume = str(checkpoint) if checkpoint is not None else None
        with _explained(plan), saving(workplace.folder):
            open_trainer(plan, model, watch).train(resume_from_checkpoint=resume)


@contextmanager
def _explained(plan: Plan) -> Iterator[None]:
    """Turn a lack of memory into one line with its fix."""
    import torch

    try:
        yield
    except torch.OutOfMemoryError as error:
        recipe = plan.recipe
        raise RerankerError(
            f"{recipe.name}: out of memory on {plan.device}: give a smaller batch than "
            f"{recipe.batch}, a smaller length than {recipe.length}, or lora"
        ) from error


def dev_check(plan: Plan, data: TrainingData) -> Callable[[Any], float]:
    """Return a function from a model to its nDCG@10 over the dev queries: every judged one counts,
    one without candidates with 0. Computed in the number format of the training.
    """

    def check(model: Any) -> float:
        import numpy as np
        import torch

        model.eval()
        place = plan.device.partition(":")[0]
        is_half = plan.dtype == "bfloat16"
        with torch.no_grad(), torch.autocast(place, torch.bfloat16, enabled=is_half):
            rows = [row for row in data.dev if row.documents]
            scored = [(row, plan.kind.score(model, row, DEV_PAIRS)) for row in rows]
        if not all(np.isfinite(scores).all() for _, scores in scored):
            raise RerankerError(
                "the model's scores are no numbers any more: give a lower rate than "
                f"{plan.recipe.rate:g}"
            )
        return mean_ndcg(scored, data)

    return check


def mean_ndcg(scored: Sequence[tuple[TrainingList, Any]], data: TrainingData) -> float:
    """Return the mean nDCG@10 of scored lists over the dev queries."""
    from bench.quality import measures

    rankings = {row.query_id: rank(row.doc_ids, scores) for row, scores in scored}
    values = measures.evaluate(rankings, data.dev_qrels, [MEASURE])[MEASURE]
    return math.fsum(values.values()) / len(values)


def write_log(fitted: Fitted, folder: Path) -> None:
    """Write what a model folder says of its training."""
    fields = asdict(fitted)
    del fields["folder"], fields["curve"]
    lines = [fields, *(point._asdict() for point in fitted.curve)]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / LOG).write_text(text, encoding="utf-8")


def read_log(folder: Path) -> Fitted | None:
    """Return the training that filled a model folder; None where none did."""
    try:
        text = (folder / LOG).read_text(encoding="utf-8")
        fields, *points = [json_value(line) for line in text.splitlines()]
        return Fitted(folder=folder, curve=[CurvePoint(**point) for point in points], **fields)
    except (OSError, ValueError, TypeError):
        return None
