"""`run`, `schema`: from a suite to a run folder."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bench.cli.arguments import SuiteCommand
from bench.cli.console import echo, open_console, open_observer, warn
from bench.core.counting import counted
from bench.core.errors import BenchError
from bench.core.redaction import argument

if TYPE_CHECKING:
    from rich.console import Console

KINDS = {".html": "report", ".md": "comment"}
"""What a written report is called, by its file's ending."""


@click.command(cls=SuiteCommand)
@click.argument("suite")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("results"),
    show_default=True,
    help="Folder for run folders.",
)
@click.option(
    "--device", help="auto, cpu, cuda, cuda:N or mps, in place of the suite's own devices."
)
@click.option(
    "--latency/--no-latency",
    default=True,
    help="Take timings (they are never cached), or leave them out.",
)
@click.option(
    "--executor",
    metavar="NAME",
    help="Where scores are computed, in place of the suite's own: here, or processes, which uses "
    "several of this machine. See `rerank-bench list executors`.",
)
@click.option("--fresh", is_flag=True, help="Score everything anew: do not read the score cache.")
@click.option("--quiet", "-q", is_flag=True, help="No progress bars.")
@click.option(
    "--estimate",
    is_flag=True,
    help="Only tell calls, tokens, price and time: score nothing, send nothing, write nothing.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="Of --estimate.",
)
def run(
    suite: str,
    out: Path,
    device: str | None,
    latency: bool,
    executor: str | None,
    fresh: bool,
    quiet: bool,
    estimate: bool,
    form: str,
) -> None:
    """Run SUITE (a YAML file, or the name of a shipped suite) and write a run folder with its
    report.

    An interrupted run resumes: run the same command again. Exits 2 when a reranker that is not
    optional failed, or a dataset or first stage; the report is written all the same.
    """
    from bench import reports
    from bench.runner import loop
    from bench.runner.forecast import forecast
    from bench.suite.suite import load

    console = open_console()
    observer = open_observer(quiet=quiet)
    if form != "table" and not estimate:
        raise BenchError(
            "--format goes with --estimate; a run's tables are in its folder, or `rerank-bench "
            "export`"
        )
    asked = load(suite)
    if executor is not None:
        asked = asked.with_executor(executor)
    if estimate:
        _estimate(
            forecast(
                asked, out=out, device=device, time_it=latency, fresh=fresh, observer=observer
            ),
            form,
        )
        return
    command = shlex.join(["rerank-bench", *map(argument, sys.argv[1:])])
    done = loop.run(
        asked,
        out=out,
        device=device,
        time_it=latency,
        fresh=fresh,
        observer=observer,
        command=command,
    )
    written = reports.write(done, warn)
    reports.show(done, console)
    _say_cache(console, done)
    for path in written:
        console.print(f"{KINDS.get(path.suffix, 'plot'):<8}{path}", soft_wrap=True, highlight=False)
    console.print(f"{'run':<8}{done.folder}", soft_wrap=True, highlight=False)
    if failures := done.info.failures():
        raise BenchError("\n".join(failures))


def _estimate(found: Any, form: str) -> None:
    from bench.reports import forecast

    echo(forecast.document(found), form)


def _say_cache(console: Console, done: Any) -> None:
    records = [record for record in done.records.values() if record.trial.kind == "reranker"]
    cached, computed = (
        sum(record.scores[name] for record in records) for name in ("cached", "computed")
    )
    if cached:
        console.print(
            f"the scores of {cached} of {counted(cached + computed, 'query')} came from the cache "
            "(--fresh scores anew)",
            highlight=False,
        )


@click.command()
@click.argument("path", type=click.Path(path_type=Path), required=False)
def schema(path: Path | None) -> None:
    """Print the JSON Schema of suite files, for editors, or write it to PATH."""
    from bench.core.atomic import write_atomically
    from bench.suite.json_schema import schema_text

    if path:
        write_atomically(path, schema_text().encode())
        click.echo(f"{path}: the JSON Schema of suite files")
    else:
        click.echo(schema_text(), nl=False)
