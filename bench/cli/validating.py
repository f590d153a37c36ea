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
    compared; what runs, is skipped or fails.

    Nothing is scored, sent or downloaded. Exits 1 when a row that is not optional cannot run, 2
    when the suite itself is wrong.
    """
    from bench.discover.validation import Outcome, validate
    from bench.suite.suite import load

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
