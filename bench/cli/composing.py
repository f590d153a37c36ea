"""`compose`: pipelines from the stored scores of a run."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.cli.arguments import MEANING, PATH, form_option, run_argument
from bench.cli.console import echo
from bench.core.errors import BenchError

if TYPE_CHECKING:
    from bench.composition.composed import Composition
    from bench.records.run import Run
    from bench.reports.document import Document

NOTHING_FITS = 1


@click.command(epilog=MEANING)
@run_argument
@click.option(
    "--pipeline",
    "pipelines",
    multiple=True,
    metavar="STAGES",
    help="Such as 'bm25:100 > minilm-l6:30 > bge'; may be repeated. Default: a grid of cascades, "
    "fusions and blends.",
)
@click.option(
    "--file",
    type=PATH,
    help="A YAML file with `pipelines:` as in a suite, in place of --pipeline.",
)
@click.option("--dataset", help="One of the run's datasets. Default: all of them.")
@click.option("--measure", help="Such as nDCG@10. Default: the run's first measure.")
@click.option("--p95-ms", type=float, help="Only what is expected to keep to this p95.")
@click.option("--p50-ms", type=float, help="Only what is expected to keep to this median.")
@click.option("--usd-per-1k", type=float, help="Only what costs at most this per 1,000 queries.")
@click.option("--frontier", is_flag=True, help="Only what no other beats in quality and time.")
@click.option(
    "--tuned/--no-tuned",
    default=True,
    help="Blends with tuned shares: chosen on one half of the queries, reported on the other.",
)
@form_option("table", "markdown", "json", "csv")
@click.option("--out", type=PATH, help="File for the table, in place of standard output.")
@click.option("--plot", type=PATH, help="File for a picture: .png, .svg or .pdf.")
def compose(
    run: Run,
    pipelines: tuple[str, ...],
    file: Path | None,
    dataset: str | None,
    measure: str | None,
    p95_ms: float | None,
    p50_ms: float | None,
    usd_per_1k: float | None,
    frontier: bool,
    tuned: bool,
    form: str,
    out: Path | None,
    plot: Path | None,
) -> int:
    """Every cascade, cut, fusion and blend that the stored scores of RUN allow: quality as a real
    run would measure it, a forecast of latency, cost. No model is loaded.

    Exits 1 when nothing keeps to the limits.
    """
    from bench.composition.compose import compose as composed
    from bench.composition.composed import Limits
    from bench.reports import composed as report
    from bench.reports.judges import marked

    if file is not None and pipelines:
        raise BenchError("--file and --pipeline both name pipelines: give one of the two")
    compositions = composed(
        run,
        pipelines,
        file=file,
        dataset=dataset,
        measure=measure,
        limits=Limits(p95_ms, p50_ms, usd_per_1k),
        tuned=tuned,
    )
    document = marked(report.document(compositions, frontier=frontier), run)
    if out is None:
        echo(document, form)
    else:
        _write(document, form, out)
    if plot is not None:
        _draw(run, compositions, plot)
    if any(composition.limits.any and not composition.pipelines for composition in compositions):
        return NOTHING_FITS
    return 0


def _write(document: Document, form: str, out: Path) -> None:
    """Write the table to a file: a table as wide as a terminal becomes Markdown there."""
    from bench.core.atomic import write_atomically
    from bench.reports.renderers import render

    if form == "table":
        form = "markdown"
    text = render(document, form).rstrip("\n")
    write_atomically(out, f"{text}\n".encode())
    click.echo(out)


def _draw(run: Run, compositions: Sequence[Composition], path: Path) -> None:
    """Draw the pipelines of each dataset."""
    from bench.reports.plots import Drawing, composed, write_each

    drawings = [
        Drawing(each.dataset, each.dataset, partial(composed.figure, each)) for each in compositions
    ]
    for own in write_each(run, drawings, path):
        click.echo(own)
