"""`calibrate`: what the scores of a run mean."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bench.calibration.maps import FEATURES, TABLE
from bench.cli.arguments import (
    MEANING,
    PATH,
    RUN,
    count_option,
    form_option,
    quiet_option,
    run_argument,
)
from bench.cli.console import echo, open_observer
from bench.core.errors import BenchError

if TYPE_CHECKING:
    from bench.meaning.calibrate import RowCalibration, Settings
    from bench.meaning.cut import Promise
    from bench.records.judged_scores import JudgedScores
    from bench.records.run import Run
    from bench.reports.document import Document


class Share(click.FloatRange):
    """A number between 0 and 1; no comparison keeps `nan` out of a range."""

    def __init__(self) -> None:
        super().__init__(0, 1, min_open=True, max_open=True)

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        share = float(super().convert(value, param, ctx))
        if math.isnan(share):
            self.fail(f"{value} is not in the range 0<x<1.", param, ctx)
        return share


LEVEL = Share()


@click.command(epilog=MEANING)
@run_argument
@click.argument("reranker", required=False)
@click.option("--dataset", help="One of the run's datasets. Default: all of them.")
@click.option("--first-stage", help="One of the run's first stages. Default: all of them.")
@click.option(
    "--by",
    metavar="FIELD",
    help="Maps for each value of a field of the queries, such as language.",
)
@count_option("--folds", 5, "Parts of the queries: each is measured by a map of the others.")
@click.option("--seed", type=click.IntRange(0), help="Of folds and intervals. Default: the run's.")
@click.option(
    "--keep-recall",
    type=LEVEL,
    metavar="SHARE",
    help="In place of the errors: the highest threshold that keeps this share of a query's "
    "relevant candidates, such as 0.9.",
)
@click.option(
    "--keep-precision",
    type=LEVEL,
    metavar="SHARE",
    help="In place of the errors: the lowest threshold of whose documents this share is relevant.",
)
@click.option(
    "--on",
    "other",
    metavar="DATASET|RUN",
    help="Try the threshold on another dataset of RUN, or on the same reranker in another run.",
)
@click.option(
    "--out", type=PATH, help="File for a map that is fitted on all queries: calibration.json."
)
@click.option(
    "--map",
    "kind",
    type=click.Choice(tuple(TABLE)),
    help="The kind of map that --out writes. Default: platt.",
)
@click.option("--place", is_flag=True, help="It also reads the score's place within its query.")
@click.option("--plot", type=PATH, help="File for the reliability curve: .png, .svg or .pdf.")
@form_option("table", "markdown", "json", "csv")
def calibrate(
    run: Run,
    reranker: str | None,
    dataset: str | None,
    first_stage: str | None,
    by: str | None,
    folds: int,
    seed: int | None,
    keep_recall: float | None,
    keep_precision: float | None,
    other: str | None,
    out: Path | None,
    kind: str | None,
    place: bool,
    plot: Path | None,
    form: str,
) -> None:
    """What the scores of each row of RUN mean, or those of RERANKER (a reranker, `first-stage` or
    a trial): reliability, ECE, Brier, log loss, AUC, as they are and mapped to probabilities; or a
    threshold with a guarantee over queries. No model is loaded.
    """
    from bench.meaning.calibrate import Settings, calibrated, tables_of
    from bench.meaning.cut import refuse_several
    from bench.reports import calibrated as report

    own_promise = _promise(reranker, keep_recall, keep_precision, other)
    if own_promise is not None and (out or plot or by):
        raise BenchError("--keep-recall and --keep-precision go without --out, --plot and --by")
    if out is None and (kind or place):
        raise BenchError("--map and --place decide what --out writes: give it a file")
    tables = tables_of(run, reranker, dataset=dataset, first_stage=first_stage)
    settings = Settings(folds, run.seed if seed is None else seed, by=by)
    if own_promise is not None:
        echo(_cuts(run, tables, own_promise, other, settings), form, run)
        return
    if out is not None:
        refuse_several(tables, "--out")
    rows = calibrated(run, tables, settings, is_named=reranker is not None)
    if out is not None:
        features = FEATURES if place else ()
        _save(run, rows[0], settings, kind or "platt", features, out)
    if plot is not None:
        _draw(run, rows, plot)
    echo(report.document(rows, curves=reranker is not None), form, run)


def _promise(
    reranker: str | None, recall: float | None, precision: float | None, other: str | None
) -> Promise | None:
    """Return what a cut is to keep; None where no cut is wanted."""
    from bench.meaning.cut import promise

    if recall is not None and precision is not None:
        raise BenchError("--keep-recall and --keep-precision are two thresholds: give one of them")
    if recall is None and precision is None:
        if other is not None:
            raise BenchError("--on tries a threshold: give --keep-recall or --keep-precision")
        return None
    if reranker is None:
        raise BenchError("a threshold is of one reranker: name it after RUN")
    return promise(recall, precision)


def _cuts(
    run: Run,
    tables: Sequence[JudgedScores],
    own_promise: Promise,
    other: str | None,
    settings: Settings,
) -> Document:
    from bench.meaning.cut import cuts, others_on
    from bench.reports import cut as report

    others = others_on(run, tables, other, partial(_other_run, run))
    return report.document(cuts(run, tables, own_promise, others, settings.folds, settings.seed))


def _other_run(run: Run, name: Any) -> Run:
    """Return the run that a threshold is tried on. Raises BenchError where there is none."""
    try:
        return RUN.convert(name, None, None)
    except BenchError as error:
        datasets = ", ".join(dict.fromkeys(row.trial.dataset for row in run.rows))
        raise BenchError(f"--on: no dataset of this run ({datasets}), and {error}") from error


def _save(
    run: Run,
    row: RowCalibration,
    settings: Settings,
    kind: str,
    features: tuple[str, ...],
    path: Path,
) -> None:
    from bench.calibration import file
    from bench.meaning.calibrate import calibration_of
    from bench.meaning.cross_fitting import Recipe

    file.write(path, calibration_of(run, row, Recipe(kind, features), settings))
    click.echo(path, err=True)


def _draw(run: Run, rows: Sequence[RowCalibration], path: Path) -> None:
    """Draw the curves of each row whose scores are no ranks."""
    from bench.reports.plots import Drawing, calibrated, write_each

    drawings: list[Drawing] = []
    for row in rows:
        if not row.table.are_ranks:
            trial = row.table.row.trial
            drawings.append(Drawing(trial.id, trial.dataset, partial(calibrated.figure, row)))
    for own in write_each(run, drawings, path):
        click.echo(own, err=True)


@click.command(epilog=MEANING)
@run_argument
@click.argument("reranker", required=False)
@click.option("--dataset", help="One of the run's datasets. Default: all of them.")
@click.option("--first-stage", help="One of the run's first stages. Default: all of them.")
@click.option("--seed", type=click.IntRange(0), help="Of folds and intervals. Default: the run's.")
@click.option(
    "--ask",
    is_flag=True,
    help="Ask rerankers whose scores depend on the list once more, without the relevant documents. "
    "Services bill it; answers are kept.",
)
@click.option(
    "--estimate",
    is_flag=True,
    help="Only report what --ask would take: load nothing, send nothing.",
)
@form_option("table", "markdown", "json", "csv")
@quiet_option
def answerability(
    run: Run,
    reranker: str | None,
    dataset: str | None,
    first_stage: str | None,
    seed: int | None,
    ask: bool,
    estimate: bool,
    form: str,
    quiet: bool,
) -> None:
    """Whether the scores of RUN, or those of RERANKER, tell that nothing relevant is among the
    candidates: each query with and without its relevant documents. No model is loaded without
    --ask.
    """
    from bench.meaning.answerability import answerability as answerable
    from bench.probes.shorter_lists import ShorterLists
    from bench.reports import answerability as report

    rows = answerable(run, reranker, dataset=dataset, first_stage=first_stage, seed=seed)
    shorter = ShorterLists(run, seed, open_observer(quiet=quiet or not ask))
    if estimate:
        echo(report.costs(list(shorter.costs(rows))), form, run)
        return
    if ask:
        rows = list(shorter.asked(rows))
    echo(report.document(rows), form, run)
