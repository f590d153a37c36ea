"""`verify`: a run recomputed from its folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bench.cli.arguments import MEANING, form_option, run_argument
from bench.cli.console import echo

if TYPE_CHECKING:
    from bench.records.run import Run


@click.command(epilog=MEANING)
@run_argument
@click.option(
    "--rescore",
    type=click.IntRange(0),
    metavar="N",
    help="Pairs of each row that are scored again where its model is at hand; 0 for none. "
    "Default: 20.",
)
@form_option("table", "json")
def verify(run: Run, rescore: int | None, form: str) -> int:
    """Recompute every number of RUN from its folder, and name what was changed: scores, grades,
    rankings, means, intervals, p values, depths, losses, timings, hashes, and what report.md and
    report.html print of them (docs/verify.md).

    Then score a seeded sample of its pairs again. Nothing is asked through a network.

    Exits 0 when nothing differs, 1 when something does, 2 for bad input and where no row was
    measured.
    """
    from bench.reports.verification import document, verified
    from bench.verification import rescoring

    pairs = rescoring.PAIRS if rescore is None else rescore
    verification = verified(run, pairs)
    echo(document(verification), form, run)
    return verification.exit_code
