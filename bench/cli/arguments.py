"""Arguments that several commands take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from bench.records.run import Run as StoredRun


class Run(click.ParamType["StoredRun"]):
    """A run folder, a folder of runs (its newest finished one), `latest`, or the name of a saved baseline."""

    name = "run"

    def convert(self, value: Any, param: Any, ctx: Any) -> StoredRun:
        from bench.records import baselines

        return baselines.find(value)


RUN = Run()
MEANING = "RUN is a run folder, results/SUITE (its newest finished run), `latest`, or the name of a saved baseline."
"""For the help of every command that takes one."""
