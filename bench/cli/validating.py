"""`validate`: what a suite would do, and what of it would fail."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from bench.cli.arguments import SuiteCommand
from bench.core.counting import counted

if TYPE_CHECKING:
    from bench.discover.validation import DatasetCheck, Validation


@click.command(cls=SuiteCommand)
@click.argument("suite")
def validate(suite: str) -> int:
    """Check SUITE without running it: every key, type and name; the data opened, counted and
    compared; what runs, is skipped or fails. A training recipe is checked in the same way, its
    queries compared with those of dev and test.

    Nothing is scored, sent or downloaded. Exits 1 when a row that is not optional cannot run, 2
    when the suite itself is wrong.
    """
    from bench.discover.validation import Outcome, validate
    from bench.suite.suite import load
    from bench.training.recipe import is_recipe

    if is_recipe(suite):
        return _validate_recipe(suite)
    validation = validate(load(suite))
    for dataset in validation.datasets:
        _print_dataset(dataset)
    click.echo(f"executor {validation.executor}")
    _print_rest((), validation.executor_problem)
    _print_rows(validation)
    failures = validation.count(Outcome.FAILED)
    trials = counted(len(validation.rows), "trial")
    if failures:
        click.echo(f"{suite}: {failures} of {trials} cannot run")
        return 1
    if validation.executor_problem:
        click.echo(f"{suite}: its executor cannot run")
        return 1
    click.echo(f"{suite}: valid, {trials}")
    return 0


def _validate_recipe(path: str) -> int:
    """Print the portions of a recipe's queries, and whether what it names can run here."""
    from bench.core.errors import Unavailable
    from bench.core.progress import Observer
    from bench.training import recipe as recipes
    from bench.training.train import check

    recipe = recipes.load(path)
    try:
        split = check(recipe, None, Observer())
    except Unavailable as error:
        click.echo(f"{path}: cannot be trained here: {error}")
        return 1
    for name, queries in split.portions._asdict().items():
        click.echo(f"{name:<8}{counted(len(queries), 'query')}")
    if split.dropped:
        click.echo(f"{counted(split.dropped, 'query')} left out of training as leaks")
    click.echo(f"{path}: valid, a recipe of {recipe.kind} {recipe.name}")
    return 0


def _print_rows(validation: Validation) -> None:
    """Print a line per trial. A reason that several share is printed once, under a number."""
    numbers = {
        reason: number for number, reason in enumerate(validation.reasons_in_common(), start=1)
    }
    for row in validation.rows:
        line = f"{row.trial:<60} {row.outcome}"
        if row.reason in numbers:
            line = f"{line} [{numbers[row.reason]}]"
        elif row.reason:
            line = f"{line}: {row.reason}"
        click.echo(line)
    for reason, number in numbers.items():
        click.echo(f"[{number}] {reason}")


def _print_dataset(dataset: DatasetCheck) -> None:
    click.echo(f"dataset {dataset.name} ({dataset.id})")
    for name, fact in dataset.facts.items():
        click.echo(f"  {name:<12} {fact}")
    if dataset.download:
        click.echo("  would be downloaded on its first run; it was not looked at")
    _print_rest(dataset.notes, dataset.problem)
    for stage in dataset.stages:
        click.echo(f"  {stage.name:<12} {stage.facts or 'first stage'}")
        _print_rest(stage.notes, stage.problem)


def _print_rest(notes: Sequence[str], problem: str) -> None:
    for note in notes:
        click.echo(f"    note: {note}")
    if problem:
        click.echo(f"    error: {problem}")
