"""The datasets of a recipe, read, and their judged queries in portions without leaks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench import datasets
from bench.contract.part import Part
from bench.core.counting import counted
from bench.core.errors import DataError
from bench.core.progress import Observer
from bench.datasets.base import Dataset
from bench.training import leaks
from bench.training.options import Portion
from bench.training.portions import Portions, parted
from bench.training.queries import JudgedQuery, judged
from bench.training.recipe import Recipe


@dataclass(frozen=True)
class Split:
    """The queries of a recipe by portion, and the datasets that each portion is of. `dropped`
    counts the training queries that were left out as leaks, `without_positive` the judged queries
    without a relevant document.
    """

    portions: Portions
    datasets: Sequence[Dataset]
    dev_datasets: Sequence[Dataset]
    test_datasets: Sequence[Dataset]
    dropped: int = 0
    without_positive: int = 0


def split(
    recipe: Recipe,
    observer: Observer,
    *,
    check: bool = False,
    training: Sequence[Dataset] = (),
) -> Split:
    """Return the queries in portions. `training` are the datasets to train on where they are loaded
    already. Raises DataError, with the pairs named, where a training query leaks into dev or test;
    with `check` NotDownloaded in the place of a download; SuiteError where two datasets to train on
    have the same name.
    """
    if not training:
        training = [_loaded(recipe, part, observer, check) for part in recipe.data]
    _refuse_same_names(recipe, training)
    own = judged(training)
    shares = (_share(recipe.dev), _share(recipe.test))
    if recipe.kind == "ltr":
        # nothing is chosen by dev there
        shares = (None, shares[1])
    portions = parted(own, *shares, recipe.split_by, recipe.seed)
    dev = own
    test = own
    if recipe.dev.dataset is not None:
        dev = judged([_loaded(recipe, recipe.dev.dataset, observer, check)])
        portions = Portions(portions.train, dev.queries, portions.test)
    if recipe.test is not None and recipe.test.dataset is not None:
        test = judged([_loaded(recipe, recipe.test.dataset, observer, check)])
        portions = Portions(portions.train, portions.dev, test.queries)
    train = _without_leaks(recipe, portions)
    return Split(
        Portions(train, portions.dev, portions.test),
        own.datasets,
        dev.datasets,
        test.datasets,
        len(portions.train) - len(train),
        own.without_positive,
    )


def _refuse_same_names(recipe: Recipe, training: Sequence[Dataset]) -> None:
    names: set[str] = set()
    for number, dataset in enumerate(training):
        if dataset.id in names:
            raise recipe.problem(
                ("data", number),
                f"two datasets are named '{dataset.id}': give one of them another 'name'",
            )
        names.add(dataset.id)


def _share(portion: Portion | None) -> float | None:
    if portion is None:
        return None
    return portion.share


def _loaded(recipe: Recipe, part: Part, observer: Observer, check: bool) -> Dataset:
    with observer.task(f"loading {part.label}", 1, "dataset") as advance:
        dataset = datasets.load(part.name, part.options, recipe.base_dir, recipe.seed, check=check)
        advance(1)
    return dataset


def _without_leaks(recipe: Recipe, portions: Portions) -> Sequence[JudgedQuery]:
    """Return the queries that may be trained on. Raises DataError where some may not, and the
    recipe does not drop them.
    """
    train = portions.train
    of_test = leaks.leaks(train, portions.test, documents=True)
    of_dev = leaks.leaks(train, portions.dev, documents=False)
    if recipe.leaks == "refuse":
        leaks.refuse(of_test, "test")
        leaks.refuse(of_dev, "dev")
    leaks.refuse(leaks.leaks(portions.dev, portions.test, documents=False), "test", "dev")
    rest = leaks.without(train, [*of_dev, *of_test])
    if not rest:
        queries = counted(len(train), "query")
        raise DataError(f"nothing is left to train on: {queries} leak into dev or test")
    return rest
