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
@form_option("table", "json")
def verify(run: Run, form: str) -> int:
    """Recompute every number of RUN from its folder, and name what was changed: scores, grades,
    rankings, means, intervals, p values, depths, losses, timings, hashes (docs/verify.md).

    Exits 0 when nothing differs, 1 when something does, 2 for bad input.
    """
    from bench.reports.verification import document
    from bench.verification.verify import Verification, recomputed

    verification = Verification(run, recomputed(run))
    echo(document(verification), form)
    return verification.exit_code
