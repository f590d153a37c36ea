"""`calibrate`: what the scores of a run mean."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.calibration.maps import TABLE
from bench.cli.arguments import MEANING, PATH, count_option, form_option, run_argument
from bench.cli.console import echo
from bench.core.errors import BenchError
from bench.core.filenames import file_stem

if TYPE_CHECKING:
    from bench.meaning.calibrate import RowCalibration, Settings
    from bench.records.run import Run


@click.command(epilog=MEANING)
@run_argument
@click.argument("reranker", required=False)
@click.option("--dataset", help="One of the run's datasets. Default: all of them.")
@click.option("--first-stage", help="One of the run's first stages. Default: all of them.")
@click.option(
    "--map",
    "kind",
    type=click.Choice(tuple(TABLE)),
    default="platt",
    show_default=True,
    help="The kind of map that --out writes.",
)
@click.option(
    "--place", is_flag=True, help="The map of --out also reads the score's place within its query."
)
@count_option("--folds", 5, "Parts of the queries: each is measured by a map of the others.")
@click.option("--seed", type=click.IntRange(0), help="Of folds and intervals. Default: the run's.")
@click.option("--out", type=PATH, help="File for the map of all queries: calibration.json.")
@click.option("--plot", type=PATH, help="File for the reliability curve: .png, .svg or .pdf.")
@form_option("table", "markdown", "json", "csv")
def calibrate(
    run: Run,
    reranker: str | None,
    dataset: str | None,
    first_stage: str | None,
    kind: str,
    place: bool,
    folds: int,
    seed: int | None,
    out: Path | None,
    plot: Path | None,
    form: str,
) -> None:
    """What the scores of each row of RUN mean, or those of RERANKER (a reranker, `first-stage` or
    a trial): reliability, ECE, Brier, log loss, AUC, as they are and mapped to probabilities. No
    model is loaded.
    """
    from bench.meaning.calibrate import Settings, tables_of
    from bench.meaning.calibrate import calibrate as calibrated
    from bench.reports import calibrated as report

    own = Settings(folds, run.seed if seed is None else seed)
    if out is not None:
        tables = tables_of(run, reranker, dataset=dataset, first_stage=first_stage)
        _refuse_several([table.row.trial.id for table in tables], "--out")
    rows = calibrated(run, reranker, dataset=dataset, first_stage=first_stage, settings=own)
    if out is not None:
        _save(run, rows[0], kind, place, own, out)
    if plot is not None:
        _draw(rows, plot)
    echo(report.document(rows, curves=reranker is not None), form)


def _refuse_several(trials: Sequence[str], option: str) -> None:
    """Raise BenchError where an option that is of one row would be of several."""
    if len(trials) > 1:
        raise BenchError(
            f"{option} is of one row: name a reranker, and --dataset or --first-stage, or one of "
            f"the trials {', '.join(trials)}"
        )


def _save(
    run: Run, row: RowCalibration, kind: str, place: bool, settings: Settings, path: Path
) -> None:
    from bench.calibration import file, maps
    from bench.meaning.calibrate import calibration_of
    from bench.meaning.cross_fitting import Recipe

    recipe = Recipe(kind)
    if place:
        recipe = Recipe(kind, maps.FEATURES)
    file.write(path, calibration_of(run, row, recipe, settings))
    click.echo(path, err=True)


def _draw(rows: Sequence[RowCalibration], path: Path) -> None:
    """Draw the curves of each row, into a file of its own where there are several."""
    from bench.core.atomic import write_atomically
    from bench.reports.plots import FORMATS, calibrated, style

    form = path.suffix.removeprefix(".")
    if form not in FORMATS:
        raise BenchError(f"--plot {path}: give a name that ends in .{', .'.join(FORMATS)}")
    drawn = [row for row in rows if not row.table.are_ranks]
    for row in drawn:
        own = path
        if len(drawn) > 1:
            own = path.with_stem(file_stem(f"{path.stem}-{row.table.row.trial.id}"))
        write_atomically(own, style.image(calibrated.figure(row), form))
        click.echo(own, err=True)
