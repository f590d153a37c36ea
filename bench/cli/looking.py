"""`report`, `list`, `show`, `doctor`: what there is to look at."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bench.cli.arguments import MEANING, RUN
from bench.cli.console import open_console, warn
from bench.core.errors import BenchError
from bench.discover import listing

if TYPE_CHECKING:
    from bench.records.run import Run


@click.command(epilog=MEANING)
@click.argument("run", type=RUN)
def report(run: Run) -> None:
    """Rebuild the report of RUN from its records alone, and print its table."""
    from bench import reports

    reports.show(run, open_console())
    written = reports.write(run, warn)
    for path in written:
        click.echo(path)


@click.command(name="list")
@click.argument("what", metavar="WHAT", type=click.Choice(["rerankers", *listing.LISTS]))
@click.option(
    "--backend",
    metavar="NAME",
    help="Only the rerankers of one backend, such as cross-encoder or cohere.",
)
def list_(what: str, backend: str | None) -> None:
    """List WHAT there is: rerankers with size, context, languages, licence, price, what they need
    and whether it is here; datasets, first-stages, scenarios, executors and measures that a suite
    may name; probes, sections of the report, shipped suites, and the guides (docs).
    """
    if backend and what != "rerankers":
        raise BenchError("--backend goes with `list rerankers`")
    listing.show_list(what, backend)


@click.command()
@click.argument("what", type=click.Choice(list(listing.DETAILS)))
@click.argument("name")
def show(what: str, name: str) -> None:
    """Show one reranker of the catalogue, a dataset's card and size, a suite as resolved, a run's
    table, or a guide: `show doc training` is docs/training.md.
    """
    listing.show_one(what, name, open_console())


@click.command()
def doctor() -> None:
    """Say what is installed here, which devices there are, whether the model hub answers and which
    API keys are set (never the keys).
    """
    from bench.discover.doctor import examine

    for name, value in examine():
        click.echo(f"{name:<28} {value}")
