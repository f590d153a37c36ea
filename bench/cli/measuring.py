"""`noise`: what a machine's timings are worth."""

from __future__ import annotations

import json

import click

from bench.cli.arguments import SuiteCommand
from bench.cli.console import open_observer
from bench.core.counting import counted
from bench.core.wording import sentences


@click.command(cls=SuiteCommand)
@click.option(
    "--suite",
    default="quickstart",
    show_default=True,
    help="Whose queries and rerankers: a YAML file, or a shipped suite.",
)
@click.option(
    "--reranker",
    metavar="NAME",
    help="The reranker that is timed against itself. Default: the first one that runs here.",
)
@click.option(
    "--device", help="auto, cpu, cuda, cuda:N or mps, in place of the suite's own devices."
)
@click.option(
    "--processes",
    type=click.IntRange(1),
    default=3,
    show_default=True,
    help="Fresh processes, one after the other.",
)
@click.option(
    "--queries",
    type=click.IntRange(1),
    default=20,
    show_default=True,
    help="Queries timed in each of them.",
)
@click.option(
    "--rounds",
    type=click.IntRange(1),
    default=2,
    show_default=True,
    help="Times each query is timed on both copies.",
)
@click.option(
    "--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True
)
@click.option("--quiet", "-q", is_flag=True, help="No progress bars.")
def noise(
    suite: str,
    reranker: str | None,
    device: str | None,
    processes: int,
    queries: int,
    rounds: int,
    form: str,
    quiet: bool,
) -> None:
    """Measure the noise floor of this machine: one reranker against itself, as two rerankers of a
    run are measured.

    The result is kept with the machine, and shown in the reports of later runs on it. Measure while
    nothing else runs.
    """
    from bench.machine.noise_floor import remember
    from bench.runner import noise as measuring
    from bench.suite.suite import load

    observer = open_observer(quiet=quiet)
    sizes = {"processes": processes, "queries": queries, "rounds": rounds}
    found = measuring.measure(load(suite), reranker, device=device, observer=observer, **sizes)
    path = remember(found.noise, found.environment)
    told = found.noise
    if form == "json":
        busy = sentences(told.disturbances)
        more = {"floor": told.floor, "kept": str(path), "disturbances": busy}
        click.echo(json.dumps({**told.model_dump(mode="json"), **more}, indent=1))
        return
    amount = f"{counted(told.depth, 'candidate')}, {counted(told.queries, 'query')} x {told.rounds}"
    click.echo(f"{told.reranker} ({told.device}) against itself, {amount}")
    for i, ratio in enumerate(told.processes):
        click.echo(f"  process {i + 1}   {ratio:.4f}")
    click.echo(f"A/A ratio     {told.ratio:.4f}  95 % interval [{told.low:.4f}, {told.high:.4f}]")
    click.echo(
        f"noise floor   {told.floor:.1%}: a smaller difference in latency says nothing on this "
        "machine"
    )
    for text in sentences(told.disturbances):
        click.echo(f"disturbed     {text}: measure again when it is quiet")
    click.echo(f"kept in       {path}; reports of later runs on this machine show it")
