"""`baseline`: runs that are kept, small enough to be committed."""

from __future__ import annotations

from pathlib import Path

import click

from bench.cli.arguments import MEANING, PATH
from bench.core.errors import BenchError

_IN = click.option(
    "--in",
    "folder",
    type=PATH,
    default=Path("results/baselines"),
    show_default=True,
    help="Folder of baselines.",
)


@click.group()
def baseline() -> None:
    """Keep a run that others have to live up to: `rerank-bench check NEW --baseline NAME`."""


@baseline.command(epilog=MEANING)
@click.argument("run")
@click.option("--name", help="Default: the suite's name.")
@click.option("--replace", is_flag=True, help="Put it in the place of the baseline of that name.")
@click.option(
    "--latency",
    is_flag=True,
    help="Keep its timings too, for a speed gate on the very same machine.",
)
@click.option(
    "--gates",
    type=PATH,
    metavar="FILE",
    help="The gates to come: says which margins the queries support.",
)
@_IN
def save(
    run: str, name: str | None, replace: bool, latency: bool, gates: Path | None, folder: Path
) -> None:
    """Save RUN: records, per-query values and rankings, no texts."""
    from bench import gate
    from bench.gate.remarks import remarks
    from bench.records import baselines

    questions = gate.load(gates) if gates else None
    saved = baselines.find(run, folder)
    path = baselines.save(saved, name, folder, replace=replace, latency=latency)
    size = baselines.size(path)
    click.echo(f"{path}: {size / 1000:,.0f} kB; commit it")
    for text in remarks(saved, questions):
        click.echo(f"note: {text}")
    if size > baselines.LARGE:
        click.echo(
            "it is large for a repository: a smaller depth or fewer queries would do", err=True
        )


@baseline.command(name="list")
@_IN
def list_(folder: Path) -> None:
    """List the baselines that are there."""
    from bench.records import baselines

    runs = baselines.saved(folder)
    if not runs:
        raise BenchError(f"{folder}: no baselines there; rerank-bench baseline save RUN keeps one")
    for name, run in runs.items():
        rerankers = dict.fromkeys(
            record.trial.reranker
            for record in run.records.values()
            if record.trial.kind == "reranker"
        )
        size = baselines.size(run.folder) / 1000
        click.echo(
            f"{name:<20} {run.info.started[:10]}  {size:>5,.0f} kB  suite {run.info.suite}: "
            f"{', '.join(rerankers)}"
        )
