"""`budget` and `tune`: what is the best inside a latency limit, of what a run has timed or of what
a suite could be made into.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.cli.arguments import (
    MEANING,
    PATH,
    SuiteCommand,
    device_option,
    form_option,
    quiet_option,
    run_argument,
)
from bench.cli.console import echo, open_observer

if TYPE_CHECKING:
    from bench.records.run import Run
    from bench.tuning.outcome import Outcome


@click.command(epilog=MEANING)
@run_argument
@click.option("--p95-ms", type=float, help="Milliseconds that 95 of 100 queries may take at most.")
@click.option("--p50-ms", type=float, help="Milliseconds that the median query may take at most.")
@click.option("--device", help="Such as cpu, cuda or cuda:1. Default: all that were timed.")
@click.option("--measure", help="Such as nDCG@10. Default: the run's first measure.")
@click.option("--dataset", help="One of the run's datasets. Default: an answer for each.")
@click.option("--first-stage", help="One of the run's first stages. Default: an answer for each.")
@form_option("table", "markdown", "json")
def budget(
    run: Run,
    p95_ms: float | None,
    p50_ms: float | None,
    device: str | None,
    measure: str | None,
    dataset: str | None,
    first_stage: str | None,
    form: str,
) -> int:
    """The best quality of RUN that fits a latency budget: over rerankers, depths, number formats,
    runtimes and batch sizes.

    Chooses among what was timed, never among estimates. Exits 0 when something fits, 1 when nothing
    does, 4 when too few queries were timed to tell.
    """
    from bench.comparison import budgets
    from bench.reports import budget as report

    choices = budgets.budget(
        run,
        p95_ms=p95_ms,
        p50_ms=p50_ms,
        device=device,
        measure=measure,
        dataset=dataset,
        first_stage=first_stage,
    )
    echo(report.document(choices), form, run)
    return budgets.exit_code(choice.outcome for choice in choices)


@click.command(cls=SuiteCommand)
@click.argument("suite")
@click.option("--p95-ms", type=float, help="Milliseconds that 95 of 100 queries may take at most.")
@click.option("--p50-ms", type=float, help="Milliseconds that the median query may take at most.")
@click.option("--usd-per-1k", type=float, help="Dollars that 1,000 queries may cost at most.")
@click.option("--measure", help="Such as nDCG@10. Default: the suite's first measure.")
@click.option("--dataset", help="One of the suite's datasets. Default: a search on each.")
@device_option
@click.option(
    "--out",
    type=PATH,
    help="Folder for winner.yaml, winner.json and what was timed. Default: tuned/SUITE. Of several "
    "datasets, each has a folder in it.",
)
@click.option(
    "--results",
    type=PATH,
    default=Path("results"),
    show_default=True,
    help="Folder for the run that scores the suite's rows.",
)
@quiet_option
@form_option("table", "markdown", "json")
def tune(
    suite: str,
    p95_ms: float | None,
    p50_ms: float | None,
    usd_per_1k: float | None,
    measure: str | None,
    dataset: str | None,
    device: str | None,
    out: Path | None,
    results: Path,
    quiet: bool,
    form: str,
) -> int:
    """Find the best pipeline of SUITE inside a budget with few timed calls: score its rows once,
    compose, forecast, time the promising pipelines in rounds, confirm the best two on fresh
    queries.

    Each dataset of the suite has a search of its own; the best for all of them is named, too. Times
    on one device: --device, or the first of the suite's. Writes the winner as a suite and as JSON,
    which `rerank-bench serve` hosts. An interrupted search goes on where it was. Exits 0 when
    something fits, 1 when nothing does, 4 when too few queries could be timed to tell.
    """
    from bench.comparison.budgets import exit_code
    from bench.composition.composed import Limits
    from bench.core.filenames import file_stem
    from bench.reports import tuned as report
    from bench.suite.suite import load
    from bench.tuning.tune import Settings, dataset_names
    from bench.tuning.tune import tune as search
    from bench.tuning.winner import DESCRIPTION, SUITE

    loaded = load(suite)
    limits = Limits(p95_ms, p50_ms, usd_per_1k)
    folder = out or Path("tuned") / loaded.name
    names = dataset_names(loaded)
    folders = {name: folder / file_stem(name) for name in names}
    if len(names) == 1:
        folders = {names[0]: folder}
    if dataset is not None:
        folders = {dataset: folder}
    observer = open_observer(quiet=quiet)
    outcomes: list[Outcome] = []
    for name, place in folders.items():
        settings = Settings(
            place, results, measure=measure, device=device, dataset=name, observer=observer
        )
        outcomes.append(search(loaded, limits, settings))
    echo(report.document(outcomes), form, *[each.run for each in outcomes if each.run is not None])
    for outcome, place in zip(outcomes, folders.values(), strict=True):
        if outcome.winner is not None and form == "table":
            click.echo(f"suite   {place / SUITE}")
            click.echo(f"serve   rerank-bench serve {place / DESCRIPTION}")
    return exit_code(outcome.verdict for outcome in outcomes)
