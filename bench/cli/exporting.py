"""`plot`, `export`, `leaderboard`: what leaves a run folder, for papers, tables and other tools."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.cli.arguments import MEANING, PATH, form_option, run_argument
from bench.cli.console import echo, warn
from bench.core.errors import BenchError, RecordError
from bench.reports.exports import EXPORTS
from bench.reports.plots import FORMATS, KINDS

if TYPE_CHECKING:
    from bench.records.run import Run

LANGUAGE = re.compile("[a-z]{3}-[A-Z][a-z]{3}")


@click.command(epilog=MEANING)
@run_argument
@click.option(
    "--kind",
    type=click.Choice(list(KINDS)),
    default="pareto",
    show_default=True,
)
@form_option(*FORMATS)
@click.option("--out", type=PATH, help="Folder for the files. Default: RUN itself.")
def plot(run: Run, kind: str, form: str, out: Path | None) -> None:
    """Draw a picture of RUN: quality against latency or depth, latency distributions, a sweep's
    heat map, or wins and losses by query.
    """
    from bench.reports import plots

    failures: list[str] = []
    written = plots.write(run, kind, out, form, failures.append)
    if not written and not failures:
        raise RecordError(
            f"{run.folder}: the run holds nothing that --kind {kind} shows: {_reason(run, kind)}"
        )
    for path in written:
        click.echo(path)
    if failures:
        raise BenchError("\n".join(failures))


def _reason(run: Run, kind: str) -> str:
    """Return what a run lacks for a kind of picture, and the fix."""
    from bench.comparison.budgets import newest_timed
    from bench.reports import plots

    if kind not in plots.NEEDS_TIMES or run.points:
        return plots.LACKING[kind]
    timed = newest_timed(run)
    if timed is None:
        return "no reranker of this run was timed; run its suite with latency"
    return (
        f"no reranker of this run was timed; of the same suite, {timed.folder} was: give that one"
    )


@click.command(epilog=MEANING)
@run_argument
@click.option(
    "--format",
    "form",
    type=click.Choice(list(EXPORTS)),
    required=True,
)
@click.option(
    "--out",
    type=PATH,
    help="File or, for mteb and trec, folder. Default: text on standard output, files next to "
    "the records.",
)
@click.option(
    "--header",
    is_flag=True,
    help="trec: ir_metadata as comments in the run, which few readers skip, not in a file of its "
    "own.",
)
@click.option(
    "--language",
    "languages",
    multiple=True,
    help="mteb: the datasets' language, as eng-Latn; else undetermined, und-Zyyy.",
)
def export(run: Run, form: str, out: Path | None, header: bool, languages: tuple[str, ...]) -> None:
    """Write the results of RUN for other tools: a LaTeX table, CSV, JSON or Parquet, MTEB-style
    JSON, a model-card snippet, TREC runs.
    """
    from bench.reports import exports

    options: dict[str, object] = {}
    if header:
        _require_form("trec", form, "--header")
        options["header"] = header
    if languages:
        _require_form("mteb", form, "--language")
        options["languages"] = languages
    for language in languages:
        if not LANGUAGE.fullmatch(language):
            raise BenchError(
                f"--language {language}: write an ISO 639-3 language and an ISO 15924 script, "
                "such as eng-Latn"
            )
    content = exports.export(run, form, out, **options)
    if isinstance(content, str):
        click.echo(content, nl=False)
    else:
        for path in content:
            click.echo(path)


def _require_form(owner: str, form: str, flag: str) -> None:
    if form != owner:
        raise BenchError(f"{flag} is an option of --format {owner}")


@click.command()
@click.argument("folder", type=PATH, default=Path("results"))
@click.option(
    "--measure", help="Such as nDCG@10. Default: the first measure of each group's newest run."
)
@form_option("table", "markdown", "json", "csv")
def leaderboard(folder: Path, measure: str | None, form: str) -> None:
    """Every run under FOLDER in one place: grouped by what makes numbers comparable, best first,
    the newest of each reranker.
    """
    from bench.comparison.leaderboard import collect
    from bench.records import baselines
    from bench.reports import leaderboard as board

    if not folder.is_dir():
        folder = baselines.find(folder).folder
    boards = collect(folder, measure, lambda reason: warn(f"note: {reason}"))
    echo(board.document(boards), form)
