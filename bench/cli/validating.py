"""`validate`: what a suite would do, and what of it would fail."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from bench.core.counting import counted

if TYPE_CHECKING:
    from bench.discover.validation import DatasetCheck


@click.command()
@click.argument("suite")
def validate(suite: str) -> int:
    """Check SUITE without running it: every key, type and name; the data opened, counted and
    compared; what runs, is skipped or fails.

    Nothing is scored, sent or downloaded. Exits 1 when a row that is not optional cannot run, 2
    when the suite itself is wrong.
    """
    from bench.discover.validation import validate
    from bench.suite.suite import load

    validation = validate(load(suite))
    for dataset in validation.datasets:
        _print_dataset(dataset)
    click.echo(f"executor {validation.executor}")
    _print_rest((), validation.executor_problem)
    for row in validation.rows:
        click.echo(f"{row.trial:<60} {row.status}{f': {row.reason}' if row.reason else ''}")
    failed, trials = validation.count("failed"), len(validation.rows)
    if failed:
        click.echo(f"{suite}: {failed} of {counted(trials, 'trial')} cannot run")
        return 1
    if validation.executor_problem:
        click.echo(f"{suite}: its executor cannot run")
        return 1
    click.echo(f"{suite}: valid, {counted(trials, 'trial')}")
    return 0


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
