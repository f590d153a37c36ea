"""Trained models in the cache folder: by everything that decides their weights."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from bench.core.cache_dir import cache_dir, set_aside
from bench.core.errors import BenchError, first_line
from bench.core.kept_folder import is_intact, keep
from bench.core.progress import Observer
from bench.datasets.leaks import refuse_measured
from bench.machine.fingerprint import resolve_device
from bench.training.building import training_data
from bench.training.fit import Fitted, fit, read_log, training_key
from bench.training.fractions import subset
from bench.training.network import Base
from bench.training.recipe import Recipe
from bench.training.split import loaded_data, split

if TYPE_CHECKING:
    from bench.datasets.base import Dataset


FOLDER = "trained"
"""In the cache folder: a model per training."""


class TrainedModel(NamedTuple):
    """A model of a training, and what is known of that: counts, and where it lies."""

    key: str
    folder: Path
    facts: Mapping[str, object]


def trained_model(
    recipe: Recipe,
    fraction: float,
    folder: Path,
    device: str,
    observer: Observer,
    *,
    measured: Dataset | None = None,
    key: str | None = None,
) -> TrainedModel:
    """Return the model of a share of the training queries, trained where `folder` lacks it. A model
    of a known `key` that is there is taken without a look at the data. Raises DataError where a
    training query says beforehand what a measured one asks, SuiteError where the recipe's data
    cannot be used.
    """
    known = _stored(folder, key)
    if known is not None:
        return _model(known, recipe, fraction)
    base = Base(recipe, resolve_device(device))
    base.require()
    portions = split(recipe, observer)
    if measured is not None:
        refuse_measured(portions.seen, measured)
        check_base(recipe, measured)
    lists = training_data(recipe, portions, device, observer)
    data = subset(lists, fraction, recipe.seed)
    key = training_key(recipe, data, base)
    known = _stored(folder, key)
    if known is None:
        known = fit(recipe, data, folder / key[:20], observer, device)
    return _model(known, recipe, fraction)


def keep_model(fitted: Fitted) -> None:
    """Copy a trained model into the cache folder, where rows of its recipe look for it."""
    place = cache_dir(FOLDER) / fitted.key[:20]
    try:
        if not is_intact(place):
            keep(place, lambda new: shutil.copytree(fitted.folder, new, dirs_exist_ok=True))
    except OSError as error:
        # a copy's own errors are a list of files
        raise BenchError(f"{place.parent}: cannot be written: {first_line(error)}") from error


def untuned_model(recipe: Recipe, device: str) -> TrainedModel:
    """Return the base of a recipe as a model that was trained on nothing."""
    base = Base(recipe, resolve_device(device))
    base.require()
    key = ":".join(base.checkpoint().fields().values())
    return TrainedModel(key, base.recipe.base_dir, {"fraction": 0.0, "queries": 0, "pairs": 0})


def check_base(recipe: Recipe, measured: Dataset) -> None:
    """Raise DataError where a recipe has trained the base of this one on what a dataset
    measures.
    """
    for seen in Base(recipe, "cpu").seen:
        refuse_measured(seen, measured)


def check_measured(recipe: Recipe, measured: Dataset) -> None:
    """Raise DataError where a recipe trains on what a dataset measures, or its base has done so,
    before anything is mined or downloaded; SuiteError with the recipe's line where its data cannot
    be used. Training data that is read in part is not compared.
    """
    check_base(recipe, measured)
    own: list[Dataset] = []
    for dataset in loaded_data(recipe, Observer(), check=True):
        if dataset.documents_read is not None:
            return
        own.append(dataset)
    refuse_measured(split(recipe, Observer(), check=True, training=own).seen, measured)


def _stored(folder: Path, key: str | None) -> Fitted | None:
    """Return the training of this key, None where the cache does not have it whole."""
    if key is None:
        return None
    place = folder / key[:20]
    if not place.is_dir():
        return None
    fitted = read_log(place)
    if fitted is None or fitted.key != key or not is_intact(place):
        set_aside(place)
        return None
    return fitted


def _model(fitted: Fitted, recipe: Recipe, fraction: float) -> TrainedModel:
    facts = {
        "fraction": fraction,
        "queries": fitted.queries,
        "pairs": fitted.pairs,
        "steps": fitted.steps,
        "best_step": fitted.best_step,
        "dev": fitted.best.ndcg,
        "seconds": fitted.seconds,
    }
    return TrainedModel(fitted.key, fitted.folder, facts)
