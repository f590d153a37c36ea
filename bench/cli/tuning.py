"""`budget`: which reranker, at which depth, in which settings, inside a latency limit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bench.cli.arguments import MEANING, form_option, run_argument
from bench.cli.console import echo

if TYPE_CHECKING:
    from bench.records.run import Run


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
    echo(report.document(choices), form)
    return budgets.exit_code(choices)
