"""The datasets of a recipe, read, and their judged queries in portions without leaks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from bench import datasets
from bench.contract.part import Part
from bench.core.counting import counted
from bench.core.errors import DataError, SuiteError
from bench.core.filenames import clash
from bench.core.options import Keys
from bench.core.progress import Observer
from bench.datasets import leaks
from bench.datasets.base import Dataset
from bench.datasets.judged_queries import Judged, JudgedQuery, judged
from bench.datasets.leaks import Leak, Seen
from bench.training.network import Base
from bench.training.options import Portion
from bench.training.portions import Portions, parted
from bench.training.recipe import Recipe


@dataclass(frozen=True)
class Split:
    """The queries of a recipe by portion, and the datasets that each portion is of. `dropped`
    counts the training queries that were left out as leaks, `dropped_of_dev` those of dev,
    `without_positive` the judged queries without a relevant document.
    """

    portions: Portions
    datasets: Sequence[Dataset]
    dev_datasets: Sequence[Dataset]
    test_datasets: Sequence[Dataset]
    dropped: int = 0
    dropped_of_dev: int = 0
    without_positive: int = 0

    @property
    def seen(self) -> Seen:
        """What a model that is trained on it has seen."""
        portions = self.portions
        return Seen(portions.train, portions.dev, leaks.tested_of(portions.test))


def split(
    recipe: Recipe,
    observer: Observer,
    *,
    check: bool = False,
    training: Sequence[Dataset] = (),
) -> Split:
    """Return the queries in portions. `training` are the datasets to train on where they are loaded
    already. Raises DataError, with the pairs named, where a training query leaks into dev or test;
    with `check` NotDownloaded in the place of a download; SuiteError with the recipe's line where a
    dataset cannot be used or split, or two to train on have the same name.
    """
    if not training:
        training = [*loaded_data(recipe, observer, check=check)]
    _refuse_same_names(recipe, training)
    with _named(recipe, ("data",)):
        own = judged(training)
    shares = (_share(recipe.dev), _share(recipe.test))
    if recipe.kind == "ltr":
        # nothing is chosen by dev there
        shares = (None, shares[1])
    with _named(recipe, ("split_by",) if recipe.split_by else ()):
        portions = parted(own, *shares, recipe.split_by, recipe.seed)
    dev = own
    test = own
    if recipe.dev.dataset is not None:
        dev = _own(recipe, recipe.dev.dataset, ("dev",), observer, check)
        portions = Portions(portions.train, dev.queries, portions.test)
    if recipe.test is not None and recipe.test.dataset is not None:
        test = _own(recipe, recipe.test.dataset, ("test",), observer, check)
        portions = Portions(portions.train, portions.dev, test.queries)
    rest = _without_leaks(recipe, portions)
    _refuse_base(recipe, rest.test)
    return Split(
        rest,
        own.datasets,
        dev.datasets,
        test.datasets,
        len(portions.train) - len(rest.train),
        len(portions.dev) - len(rest.dev),
        own.without_positive,
    )


def _refuse_same_names(recipe: Recipe, training: Sequence[Dataset]) -> None:
    """Raise SuiteError for two datasets of one name, in names of files at least."""
    names = [dataset.id for dataset in training]
    places = clash(names)
    if places is not None:
        first, second = places
        raise recipe.problem(
            ("data", second), f"data.{first} is named '{names[first]}' too: give one another 'name'"
        )


def _share(portion: Portion | None) -> float | None:
    if portion is None:
        return None
    return portion.share


def loaded_data(recipe: Recipe, observer: Observer, *, check: bool = False) -> Iterator[Dataset]:
    """Yield the datasets to train on, each once it is read. Raises SuiteError with the recipe's
    line where one cannot be used; with `check` NotDownloaded in the place of a download.
    """
    for number, part in enumerate(recipe.data):
        yield _loaded(recipe, part, ("data", number), observer, check)


def _loaded(recipe: Recipe, part: Part, keys: Keys, observer: Observer, check: bool) -> Dataset:
    with observer.task(f"loading {part.label}", 1, "dataset") as advance, _named(recipe, keys):
        dataset = datasets.load(part.name, part.options, recipe.base_dir, recipe.seed, check=check)
        advance(1)
    return dataset


def _own(recipe: Recipe, part: Part, keys: Keys, observer: Observer, check: bool) -> Judged:
    """Return the judged queries of a portion that is a dataset of its own."""
    dataset = _loaded(recipe, part, keys, observer, check)
    with _named(recipe, keys):
        return judged([dataset])


@contextmanager
def _named(recipe: Recipe, keys: Keys) -> Iterator[None]:
    """Name the line of the recipe that has the data, whatever is wrong with them: as SuiteError."""
    try:
        yield
    except (DataError, SuiteError) as error:
        raise recipe.problem(keys, error) from error


def _refuse_base(recipe: Recipe, test: Sequence[JudgedQuery]) -> None:
    """Raise DataError where a base that a recipe has trained has seen what the test asks."""
    if recipe.kind == "ltr":
        return
    for seen in Base(recipe, "cpu").seen:
        pairs = leaks.leaks(seen.train, test, documents=True)
        pairs += leaks.leaks(seen.dev, test, documents=False)
        leaks.refuse(pairs, "test", leaks.THE_BASE)


def _without_leaks(recipe: Recipe, portions: Portions) -> Portions:
    """Return the portions without the queries that may not be trained on, or choose the best step.
    Raises DataError where there are some, and the recipe does not drop them, or nothing is left.
    """
    train, dev, test = portions
    between: list[Leak] = []
    of_test: list[Leak] = []
    of_dev: list[Leak] = []
    # shares of the same queries have nothing in common: by the words of all of these, which weigh
    # a little otherwise in two portions alone
    if _share(recipe.test) is None:
        of_test = leaks.leaks(train, test, documents=True)
    if _share(recipe.dev) is None or _share(recipe.test) is None:
        between = leaks.leaks(dev, test, documents=False)
    rest_of_dev = leaks.without(dev, between)
    if _share(recipe.dev) is None:
        of_dev = leaks.leaks(train, rest_of_dev, documents=False)
    if recipe.leaks == "refuse":
        leaks.refuse(of_test, "test")
        leaks.refuse(of_dev, "dev")
        leaks.refuse(between, "test", "dev")
    rest = leaks.without(train, [*of_dev, *of_test])
    if not rest:
        queries = counted(len(train), "query")
        raise DataError(f"nothing is left to train on: {queries} leak into dev or test")
    if dev and not rest_of_dev:
        queries = counted(len(dev), "query")
        raise DataError(f"nothing is left to choose the best step by: {queries} leak into the test")
    return Portions(rest, rest_of_dev, test)
