"""`compare`, `check`, `parity`: what lies between runs, and whether that passes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from bench.commands.console import open_console
from bench.errors import BenchError


@click.command()
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
        comparison.print_comparison(found, open_console())
    else:
        written = {"markdown": comparison.to_markdown, "json": comparison.to_json, "csv": comparison.to_csv}
        click.echo(written[form](found).rstrip("\n"))


@click.command()
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
        verdict.print_verdict(found, open_console())
    else:
        click.echo(verdict.to_json(found) if form == "json" else verdict.to_markdown(found))
    return found.exit_code(inconclusive)


@click.command()
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
