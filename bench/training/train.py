"""`train`: from a recipe to a model folder, and to what it gains on the test queries."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import yaml

from bench import rerankers
from bench.core.atomic import clear_remains, write_atomically
from bench.core.errors import RerankerError, Unavailable
from bench.core.progress import Observer, watching
from bench.core.redaction import redacted
from bench.machine.fingerprint import resolve_device
from bench.scoring import executors
from bench.scoring.engine import HERE
from bench.scoring.executors.base import Executor
from bench.suite.moved import moved
from bench.training import entries, ltr
from bench.training.building import forecast, training_data
from bench.training.card import write_card
from bench.training.checkpoints import alone_in
from bench.training.comparison import Comparing, Gain
from bench.training.estimate import Estimate, estimate
from bench.training.fit import Fitted, fit
from bench.training.kept import keep_model
from bench.training.lists import DataFacts, TrainingData
from bench.training.mining import Miner
from bench.training.network import Base
from bench.training.recipe import Recipe
from bench.training.split import Split, split
from bench.training.teaching import Bill, teacher_of

MODEL = "model"


@dataclass(frozen=True)
class Trained:
    """What a training left: the model, a folder or the file of an ltr; how it was fitted and the
    counts of its data, None for an ltr; and what it gains, None without test queries.
    """

    recipe: Recipe
    model: Path
    fitted: Fitted | None
    facts: DataFacts | None
    gain: Gain | None


def check(recipe: Recipe, device: str | None, observer: Observer) -> Split:
    """Return the portions of a recipe's queries. Raises BenchError for what would stop a training:
    training queries that leak, a base, a teacher or a stage that cannot run here.
    """
    if recipe.kind != "ltr":
        Base(recipe, resolve_device(device or "auto")).require()
    portions = split(recipe, observer)
    Miner(recipe, device, observer)
    teacher_of(recipe, device, observer)
    return portions


def prepared(
    recipe: Recipe, device: str | None, observer: Observer, executor: Executor = HERE
) -> tuple[Split, TrainingData]:
    """Return the portions of a recipe's queries and the lists to train on, mined and scored by a
    teacher where the executor does its work. Raises DataError before
    anything is mined or asked where a training query leaks.
    """
    portions = split(recipe, observer)
    return portions, training_data(recipe, portions, device, observer, executor)


@dataclass(frozen=True)
class Foreseen:
    """What a training would take: the portions of its queries; its data, before a teacher leaves
    negatives out, and what a few timed steps say, None of an ltr; what the teacher would be asked.
    """

    recipe: Recipe
    split: Split
    data: TrainingData | None = None
    bill: Bill | None = None
    estimate: Estimate | None = None


def foreseen(recipe: Recipe, device: str | None, observer: Observer) -> Foreseen:
    """Return what a training would take: a few of its steps are timed, and the teacher is not
    asked.
    """
    portions = split(recipe, observer)
    if recipe.kind == "ltr":
        return Foreseen(recipe, portions)
    teacher = teacher_of(recipe, device, observer, lenient=True)
    expected = forecast(recipe, portions, Miner(recipe, device, observer), teacher)
    timed = estimate(recipe, expected.data, device or "auto")
    return Foreseen(recipe, portions, expected.data, expected.bill, timed)


def train(
    recipe: Recipe,
    out: Path,
    *,
    device: str | None = None,
    fresh: bool = False,
    observer: Observer | None = None,
    command: str = "",
    on: str | None = None,
) -> Trained:
    """Train the model of a recipe into `out/model`, and compare it on the test queries in a run
    under `out/comparison`. `on` names the executor that mines, asks the teacher and scores the
    comparison; the model is trained here.

    A training that was interrupted goes on; with `fresh` it begins anew. Shares of the training
    queries, where the recipe has `fractions`, are rows of the comparison. Raises BenchError where
    it cannot be trained, or has no values on the test queries. Another process that trains into
    `out` is waited for: what is compared is what was trained.
    """
    observer = observer or Observer()
    with alone_in(out), watching(observer):
        for place in (out, out / MODEL):
            clear_remains(place)
        return _train(recipe, out, device, fresh, observer, command, on)


def _train(
    recipe: Recipe,
    out: Path,
    device: str | None,
    fresh: bool,
    watch: Observer,
    command: str,
    on: str | None,
) -> Trained:
    executor = HERE if on is None else executors.named(on)
    executor.check()
    comparing = Comparing(out, device, watch, fresh=fresh, command=command, on=on)
    if recipe.kind == "ltr":
        portions = split(recipe, watch)
        _write_recipe(recipe, out)
        gain = comparing.gain(recipe, portions, [ltr.row(recipe, portions, out)])
        return Trained(recipe, ltr.keep_model(gain, out), None, None, gain)
    Base(recipe, resolve_device(device or "auto")).require()
    _check_untuned(recipe)
    portions = split(recipe, watch)
    # a folder that cannot be written is known before anything is mined or paid for
    _write_recipe(recipe, out)
    with closing(executor):
        data = training_data(recipe, portions, device, watch, executor)
    folder = out / MODEL
    fitted = fit(recipe, data, folder, watch, device or "auto", fresh=fresh)
    # it has one whatever becomes of the comparison
    write_card(recipe, data.facts, fitted)
    if recipe.test is None:
        return Trained(recipe, folder, fitted, data.facts, None)
    rows = [entries.untuned(recipe, out), entries.trained(recipe, folder, out)]
    if recipe.fractions:
        # the model of all queries is not trained twice
        keep_model(fitted)
        rows = entries.curve(recipe, out)
    gain = comparing.gain(recipe, portions, rows)
    write_card(recipe, data.facts, fitted, gain)
    return Trained(recipe, folder, fitted, data.facts, gain)


def _check_untuned(recipe: Recipe) -> None:
    """Raise SuiteError where the comparison could not measure the base: before anything is mined
    or trained.
    """
    if recipe.test is None:
        return
    part = entries.untuned(recipe, recipe.base_dir)
    try:
        rerankers.build(part.name, part.options, "cpu", recipe.base_dir).check()
    except (Unavailable, RerankerError) as error:
        raise recipe.problem(("base",), f"it has to be measured untuned: {error}") from error


def _write_recipe(recipe: Recipe, out: Path) -> None:
    """Write the recipe with its defaults, and without its secrets, next to what it makes."""
    fields = redacted(moved(recipe.resolved(), recipe.base_dir, out))
    text = yaml.safe_dump(fields, sort_keys=False, allow_unicode=True)
    path = out / entries.RECIPE
    # what somebody wrote stays as it was written
    if path.resolve() != Path(recipe.file).resolve():
        write_atomically(path, text.encode())
