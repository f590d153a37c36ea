"""The command `rerank-bench`: arguments in, one clear line out. Work is imported when a command needs it, so that `--help` is instant."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bench.errors import BenchError

if TYPE_CHECKING:
    from rich.console import Console

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


@click.group(context_settings=CONTEXT)
@click.version_option(package_name="rerank-bench")
def cli() -> None:
    """Compare rerankers on quality, latency and cost.

    \b
    rerank-bench run quickstart        the shipped demo: offline, a few minutes on a laptop
    rerank-bench run my-suite.yaml     your own datasets, first stages and rerankers
    rerank-bench list rerankers        what can be named in a suite
    """


@cli.command()
@click.argument("suite")
@click.option("--out", type=click.Path(path_type=Path), default=Path("results"), show_default=True, help="Folder for run folders.")
@click.option("--device", help="auto, cpu, cuda, cuda:N or mps, in place of the suite's own devices.")
@click.option("--latency/--no-latency", default=True, help="Take timings (they are never cached), or leave them out.")
@click.option("--fresh", is_flag=True, help="Score everything anew: do not read the score cache.")
@click.option("--quiet", "-q", is_flag=True, help="No progress bars.")
def run(suite: str, out: Path, device: str | None, latency: bool, fresh: bool, quiet: bool) -> None:
    """Run SUITE (a YAML file, or the name of a shipped suite) and write a run folder with its report.

    An interrupted run resumes: run the same command again. Exits 2 when a reranker that is not optional failed.
    """
    from bench import reports, runner
    from bench.progress import Observer
    from bench.reports.terminal import TerminalObserver, print_run
    from bench.suite import load

    console = _console()
    observer = Observer() if quiet else TerminalObserver(_console(stderr=True))
    command = shlex.join(["rerank-bench", *sys.argv[1:]])
    done = runner.run(load(suite), out=out, device=device, time_it=latency, fresh=fresh, observer=observer, command=command)
    written = reports.write(done)
    print_run(done, console)
    _say_cache(console, done)
    for path in written:
        console.print(f"{'report' if path.suffix == '.md' else 'plot':<8}{path}", soft_wrap=True, highlight=False)
    console.print(f"{'run':<8}{done.folder}", soft_wrap=True, highlight=False)
    failed = [status for status in done.info.trials if status.status == "failed"]
    if failed:
        raise BenchError("\n".join(f"{status.trial.reranker} failed: {status.reason}" for status in failed))


def _say_cache(console: Console, done: Any) -> None:
    records = [record for record in done.records.values() if record.trial.kind == "reranker"]
    cached, computed = (sum(record.scores[name] for record in records) for name in ("cached", "computed"))
    if cached:
        console.print(f"{cached} of {cached + computed} queries' scores came from the cache (--fresh scores anew).", highlight=False)


@cli.command()
@click.argument("run_folder", type=click.Path(path_type=Path))
def report(run_folder: Path) -> None:
    """Rebuild the report of RUN_FOLDER from its records alone, and print its table."""
    from bench import reports
    from bench.records.store import Run
    from bench.reports.terminal import print_run

    found = Run(run_folder)
    written = reports.write(found)
    print_run(found, _console())
    for path in written:
        click.echo(path)


@cli.command()
@click.argument("run_folders", metavar="RUN [RUN ...]", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--baseline", metavar="NAME", help="The reranker to compare with. Default: first-stage in one run, itself in the first of several."
)
@click.option("--measure", help="Such as nDCG@10. Default: the first run's first measure.")
@click.option("--across", multiple=True, metavar="FIELD", help="A field that may differ between runs: candidates, depth, template, ...")
@click.option("--format", "form", type=click.Choice(["table", "markdown", "json", "csv"]), default="table", show_default=True)
def compare(run_folders: tuple[Path, ...], baseline: str | None, measure: str | None, across: tuple[str, ...], form: str) -> None:
    """Compare rerankers query by query: with a baseline in one RUN, or the same reranker in several.

    Exits 3, naming the fields that differ, where the runs did not measure the same thing.
    """
    from bench import compare as comparing
    from bench.records.store import Run
    from bench.reports import comparison

    found = comparing.compare([Run(folder) for folder in run_folders], baseline, measure, across)
    if form == "table":
        comparison.print_comparison(found, _console())
    else:
        written = {"markdown": comparison.to_markdown, "json": comparison.to_json, "csv": comparison.to_csv}
        click.echo(written[form](found).rstrip("\n"))


@cli.command()
@click.argument("new", type=click.Path(path_type=Path))
@click.option(
    "--baseline", required=True, metavar="RUN", type=click.Path(path_type=Path), help="The run folder that NEW has to live up to."
)
@click.option("--measure", help="Such as nDCG@10. Default: the baseline's first measure.")
@click.option("--margin", type=float, default=0.01, show_default=True, help="The largest mean loss that is still acceptable.")
@click.option("--accept-underpowered", is_flag=True, help="Check even where the queries are too few for the margin.")
@click.option("--inconclusive", type=click.Choice(["pass", "fail"]), help="What an inconclusive check counts as, in place of exit code 4.")
@click.option("--format", "form", type=click.Choice(["table", "markdown", "json"]), default="table", show_default=True)
def check(new: Path, baseline: Path, measure: str | None, margin: float, accept_underpowered: bool, inconclusive: Any, form: str) -> int:
    """Check that the run NEW ranks no worse than a baseline run.

    Exits 0 pass, 1 fail, 2 bad input, 3 incomparable, 4 inconclusive.
    """
    from bench import gate
    from bench.records.store import Run
    from bench.reports import verdict

    found = gate.check(Run(new), Run(baseline), measure, margin, accept_underpowered=accept_underpowered)
    if form == "table":
        verdict.print_verdict(found, _console())
    else:
        click.echo(verdict.to_json(found) if form == "json" else verdict.to_markdown(found))
    return found.exit_code(inconclusive)


@cli.command()
@click.argument("run_folder", metavar="RUN", type=click.Path(path_type=Path))
@click.argument("others", metavar="A B | RUN", nargs=-1, required=True)
def parity(run_folder: Path, others: tuple[str, ...]) -> None:
    """Set the scores of two trials of RUN side by side (A and B: trial ids or rerankers), or those of each reranker in two RUNs.

    Says how far scores differ at most, the mean Kendall tau of the orders and the mean overlap of the top 10; judges nothing. Exits 3
    where the candidates differ.
    """
    from bench import parity as comparing
    from bench.records.store import Run

    if len(others) > 2:
        raise BenchError("parity takes two runs, or one run and two of its trials or rerankers")
    first = Run(run_folder)
    found = comparing.within_run(first, *others) if len(others) == 2 else comparing.between_runs(first, Run(others[0]))
    for one in found:
        click.echo(f"{one.new.trial.id} against {one.baseline.trial.id}, {comparing.told(one.drift)}")


@cli.command()
@click.argument("suite")
def validate(suite: str) -> None:
    """Check SUITE without running it: every key, type, name and file. Says what would run and what would be skipped."""
    from bench.planning import plan
    from bench.suite import load

    found = load(suite)
    groups = plan(found, lenient=True)
    for group in groups:
        for planned in group.planned:
            status = planned.status
            told = "runs" if status.status == "pending" else f"{status.status}: {status.reason}"
            click.echo(f"{planned.trial.id:<60} {told}")
    click.echo(f"{suite}: valid, {sum(len(group.planned) for group in groups)} trials")


@cli.command()
@click.argument("path", type=click.Path(path_type=Path), required=False)
def schema(path: Path | None) -> None:
    """Print the JSON Schema of suite files, for editors, or write it to PATH."""
    from bench.suite_schema import schema_text

    if path:
        path.write_text(schema_text(), encoding="utf-8")
    else:
        click.echo(schema_text(), nl=False)


@cli.command(name="list")
@click.argument("what", type=click.Choice(["rerankers", "datasets", "suites", "measures"]))
def list_(what: str) -> None:
    """List what a suite can name."""
    from bench import listing

    listing.show_list(what)


@cli.command()
@click.argument("what", type=click.Choice(["reranker", "dataset", "suite", "run"]))
@click.argument("name")
def show(what: str, name: str) -> None:
    """Show one reranker of the catalogue, a dataset's card and size, a suite as resolved, or a run's table."""
    from bench import listing

    listing.show_one(what, name, _console())


@cli.command()
def doctor() -> None:
    """Say what is installed here, which devices there are, whether the model hub answers and which API keys are set (never the keys)."""
    from bench.doctor import examine

    for name, value in examine():
        click.echo(f"{name:<28} {value}")


def _console(stderr: bool = False) -> Console:
    from rich.console import Console

    return Console(stderr=stderr, highlight=False)


def main() -> None:
    """Entry point: what the user can mend is told in plain lines, exit code 2; an interrupt says how to go on."""
    try:
        code = cli.main(standalone_mode=False)
    except BenchError as error:
        click.echo(f"rerank-bench: {error}", err=True)
        code = error.exit_code
    except click.exceptions.Abort:
        click.echo("\nrerank-bench: interrupted; run the same command to go on from the last finished chunk", err=True)
        code = 130
    except click.ClickException as error:
        error.show()
        code = 2
    sys.exit(code if isinstance(code, int) else 0)
