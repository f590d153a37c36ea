"""`train`: a model from a recipe, and what it gains."""

from __future__ import annotations

from pathlib import Path

import click

from bench.cli.arguments import PATH, device_option, form_option, quiet_option
from bench.cli.console import command_line, echo, open_observer, warn


@click.command()
@click.argument("recipe")
@click.option(
    "--out",
    type=PATH,
    help="Folder for the model, the comparison and the recipe with its defaults. Default: "
    "trained/NAME.",
)
@device_option
@click.option(
    "--fresh",
    is_flag=True,
    help="Train anew, whatever a training of before has left; no score of before is used in the "
    "comparison.",
)
@click.option(
    "--on",
    metavar="NAME",
    help="Where negatives are mined, a teacher is asked and the comparison is scored: here, "
    "processes, ray or ray://HOST:PORT. The model is trained here.",
)
@quiet_option
@click.option(
    "--estimate",
    is_flag=True,
    help="Only report pairs, steps, minutes, memory and a teacher's price, from a few timed steps: "
    "ask nothing, write nothing.",
)
@form_option("table", "markdown", "json")
def train(
    recipe: str,
    out: Path | None,
    device: str | None,
    fresh: bool,
    on: str | None,
    quiet: bool,
    estimate: bool,
    form: str,
) -> None:
    """Train a reranker by RECIPE (a YAML file, docs/training.md), and compare it with its untuned
    base on test queries.

    Refuses training queries that dev or test queries ask, too. An interrupted training goes on: run
    the same command again. Ends with an ordinary run over the test queries, and the gain with its
    interval.
    """
    from bench import reports
    from bench.reports import trained as report
    from bench.training import recipe as recipes
    from bench.training import train as training

    loaded = recipes.load(recipe)
    observer = open_observer(quiet=quiet)
    if estimate:
        echo(report.forecast(training.foreseen(loaded, device, observer)), form)
        return
    folder = out or Path("trained") / loaded.name
    command = command_line()
    try:
        trained = training.train(
            loaded,
            folder,
            device=device,
            fresh=fresh,
            observer=observer,
            command=command,
            on=on,
        )
    except KeyboardInterrupt:
        again = command.replace(" --fresh", "")
        warn(f"\ninterrupted: `{again}` goes on from the last checkpoint")
        raise
    if trained.gain is not None:
        reports.write(trained.gain.run, warn)
    runs = [] if trained.gain is None else [trained.gain.run]
    echo(report.document(trained), form, *runs)
    if form == "table":
        click.echo(f"model   {trained.model}")
        if trained.gain is not None:
            click.echo(f"run     {trained.gain.run.folder}")
