"""`noise`: what a machine's timings are worth."""

from __future__ import annotations

import json

import click

from bench.cli.arguments import (
    SuiteCommand,
    count_option,
    device_option,
    form_option,
    quiet_option,
)
from bench.cli.console import open_observer
from bench.core.counting import counted, percent
from bench.core.wording import sentences


@click.command(name="noise", cls=SuiteCommand)
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
@device_option
@count_option("--processes", 3, "Fresh processes, one after the other.")
@count_option("--queries", 20, "Queries timed in each of them.")
@count_option("--rounds", 2, "Times each query is timed on both copies.")
@form_option("table", "json")
@quiet_option
def noise_(
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

    The result is kept with the machine, and shown in the reports of later runs on it, unless it is
    of fewer than 20 queries or the machine was disturbed. Measure while nothing else runs.
    """
    from bench.machine.noise_floor import recall, remember
    from bench.runner import noise as measuring
    from bench.suite.suite import load

    observer = open_observer(quiet=quiet)
    sizes = {"processes": processes, "queries": queries, "rounds": rounds}
    result = measuring.measure(load(suite), reranker, device=device, observer=observer, **sizes)
    noise = result.noise
    path = None if noise.doubt else remember(noise, result.environment)
    if form == "json":
        more = {
            "floor": noise.floor,
            "kept": str(path) if path else None,
            "not_kept": noise.doubt,
            "disturbances": sentences(noise.disturbances),
        }
        click.echo(json.dumps({**noise.model_dump(mode="json"), **more}, indent=1))
        return
    amount = (
        f"{counted(noise.depth, 'candidate')}, {counted(noise.queries, 'query')} x {noise.rounds}"
    )
    click.echo(f"{noise.reranker} ({noise.device}) against itself, {amount}")
    for i, ratio in enumerate(noise.processes):
        click.echo(f"  process {i + 1}   {ratio:.4f}")
    click.echo(
        f"A/A ratio     {noise.ratio:.4f}  95 % interval [{noise.low:.4f}, {noise.high:.4f}]"
    )
    for text in sentences(noise.disturbances):
        click.echo(f"disturbed     {text}: measure again when it is quiet")
    if path is None:
        before = recall(result.environment)
        earlier = (
            f"the {percent(before.floor, 1)} of {before.measured_at[:10]}" if before else "none"
        )
        click.echo(f"this time     {percent(noise.floor, 1)}")
        click.echo(f"not kept      it is {noise.doubt}; reports of later runs show {earlier}")
        return
    click.echo(
        f"noise floor   {percent(noise.floor, 1)}: a smaller difference in latency says nothing on "
        "this machine"
    )
    click.echo(f"kept in       {path}; reports of later runs on this machine show it")
