"""Arguments that several commands take."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from bench.core.errors import RecordError

if TYPE_CHECKING:
    from bench.records.run import Run as StoredRun


class Run(click.ParamType["StoredRun"]):
    """A run folder, a folder of runs (its newest finished one), `latest`, or the name of a saved
    baseline.
    """

    name = "run"

    def __init__(self, on_unfinished: Callable[[str], None]) -> None:
        self.on_unfinished = on_unfinished

    def convert(self, value: Any, param: Any, ctx: Any) -> StoredRun:
        from bench.records import baselines

        return baselines.find(value, on_unfinished=self.on_unfinished)


def _note(text: str) -> None:
    click.echo(f"note: {text}", err=True)


def _refuse(text: str) -> None:
    raise RecordError(text)


RUN = Run(_note)
NEWEST = Run(_refuse)
"""For a verdict, which on an older run than the newest would be of something else."""
MEANING = (
    "RUN is a run folder, results/SUITE (its newest finished run), `latest`, or the name "
    "of a saved baseline. A folder without a run is refused; where a newer run is not finished, "
    "check refuses results/SUITE and `latest`, and the others say so."
)
"""For the help of every command that takes one."""
