"""`run`, `schema`: from a suite to a run folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.cli.arguments import PATH, SuiteCommand, device_option, form_option, quiet_option
from bench.cli.console import command_line, echo, open_console, open_observer, warn
from bench.core.counting import counted
from bench.core.errors import BenchError
from bench.core.redaction import for_others

if TYPE_CHECKING:
    from bench.records.run import Run as StoredRun

KINDS = {".html": "report", ".md": "comment"}
"""What a written report is called, by its file's ending."""


@click.command(cls=SuiteCommand)
@click.argument("suite")
@click.option(
    "--out",
    type=PATH,
    default=Path("results"),
    show_default=True,
    help="Folder for run folders.",
)
@device_option
@click.option(
    "--latency/--no-latency",
    default=True,
    help="Take timings (they are never cached), or leave them out.",
)
@click.option(
    "--on",
    "--executor",
    "executor",
    metavar="NAME",
    help="Where scores are computed, in place of the suite's own: here; processes, which uses "
    "several of this machine; ray, or ray://HOST:PORT, a cluster (docs/cluster.md). Timings are "
    "always taken here. See `rerank-bench list executors`.",
)
@click.option(
    "--fresh",
    is_flag=True,
    help="Use no score of before the run. Within it, pipelines share what the run has scored by "
    "then; each other row is scored anew.",
)
@quiet_option
@click.option(
    "--estimate",
    is_flag=True,
    help="Only report calls, tokens, price and time: score nothing, send nothing, write nothing.",
)
@form_option("table", "json", help="Of --estimate.")
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
    optional failed, or a dataset or first stage, or what was to be timed; the report is written all
    the same.
    """
    from bench import reports
    from bench.reports import forecast as forecast_report
    from bench.runner import loop
    from bench.runner.forecast import forecast
    from bench.suite.suite import load

    observer = open_observer(quiet=quiet)
    if form != "table" and not estimate:
        raise BenchError(
            "--format goes with --estimate; a run's tables are in its folder, or `rerank-bench "
            "export`"
        )
    loaded = load(suite)
    if executor is not None:
        loaded = loaded.with_executor(executor)
    if estimate:
        expected = forecast(
            loaded, out=out, device=device, time_it=latency, fresh=fresh, observer=observer
        )
        echo(forecast_report.document(expected), form)
        return
    done = loop.run(
        loaded,
        out=out,
        device=device,
        time_it=latency,
        fresh=fresh,
        observer=observer,
        command=command_line(),
    )
    written = reports.write(done, warn)
    console = open_console()
    reports.show(done, console)
    if scores := _from_cache(done):
        console.print(scores)
    for path in written:
        console.print(f"{KINDS.get(path.suffix, 'plot'):<8}{path}", soft_wrap=True)
    console.print(f"{'run':<8}{done.folder}", soft_wrap=True)
    if failures := done.failures():
        # a run folder has them as others may read them, with short paths
        lines = [for_others(text) for text in observer.notes]
        unsaid = [text for text in failures if text not in lines]
        raise BenchError("\n".join(unsaid) or f"{counted(len(failures), 'failure')}, see above")


def _from_cache(run: StoredRun) -> str:
    """Return how many scores were in the cache before the run began; empty where none were."""
    cached = queries = 0
    for record in run.records.values():
        if record.trial.kind == "reranker":
            cached += record.scores["cached"] - record.reused
            queries += record.scores["cached"] + record.scores["computed"]
    if not cached:
        return ""
    total = counted(queries, "query")
    return f"the scores of {cached:,} of {total} came from the cache (--fresh scores anew)"


@click.command()
@click.argument("path", type=PATH, required=False)
@click.option("--gates", is_flag=True, help="That of gates files (docs/ci.md).")
@click.option("--recipe", is_flag=True, help="That of training recipes (docs/training.md).")
def schema(path: Path | None, gates: bool, recipe: bool) -> None:
    """Print the JSON Schema of suite files, for editors, or write it to PATH."""
    from bench.core.atomic import write_atomically

    if gates and recipe:
        raise click.UsageError("--gates and --recipe: one schema at a time")
    files, text = _schema(gates, recipe)
    if path:
        write_atomically(path, text.encode())
        click.echo(f"{path}: the JSON Schema of {files}")
    else:
        click.echo(text, nl=False)


def _schema(gates: bool, recipe: bool) -> tuple[str, str]:
    """Return what files a schema is of, and its text."""
    if gates:
        from bench.gate import file as gates_file

        return "gates files", gates_file.schema_text()
    if recipe:
        from bench.training import json_schema as recipe_schema

        return "training recipes", recipe_schema.schema_text()
    from bench.suite import json_schema as suite_schema

    return "suite files", suite_schema.schema_text()
