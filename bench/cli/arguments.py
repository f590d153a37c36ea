"""Arguments and options that several commands take."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from bench.core.errors import BenchError, RecordError, SuiteError

if TYPE_CHECKING:
    from bench.records.run import Run as StoredRun


Command = TypeVar("Command", bound=Callable[..., Any])


class SuiteCommand(click.Command):
    """A command that takes a suite. What it lacks as an option may be a key of the suite: the
    message says where to write it.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            from bench.suite.key_places import place_of_option
            from bench.suite.suite import Suite

            place = place_of_option(error.option_name, Suite.model_fields)
            if not place:
                raise
            message = f"No such option '{error.option_name}': {place}"
            raise click.NoSuchOption(error.option_name, message, ctx=ctx) from error


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
PATH = click.Path(path_type=Path)
run_argument = click.argument("run", metavar="RUN", type=RUN)
device_option = click.option(
    "--device", help="auto, cpu, cuda, cuda:N or mps, in place of the suite's own devices."
)
quiet_option = click.option(
    "--quiet", "-q", is_flag=True, help="No progress bars: only what a run waits for."
)


def form_option(*forms: str, help: str | None = None) -> Callable[[Command], Command]:
    """Return the option --format, the first form its default."""
    return click.option(
        "--format",
        "form",
        type=click.Choice(forms),
        default=forms[0],
        show_default=True,
        help=help,
    )


def count_option(name: str, default: int, help: str) -> Callable[[Command], Command]:
    """Return an option that takes a whole number from 1."""
    return click.option(name, type=click.IntRange(1), default=default, show_default=True, help=help)


def own_options(help: str) -> Callable[[Command], Command]:
    """Return the option whose pairs `options_of` reads."""
    return click.option("--option", "-o", "options", multiple=True, metavar="KEY=VALUE", help=help)


def options_of(pairs: tuple[str, ...]) -> dict[str, Any]:
    """Return the options of KEY=VALUE pairs, each value read as a suite would read it; a text that
    YAML takes for a mapping stays a text.
    """
    from bench.core.yaml_source import Source

    options: dict[str, Any] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        key = name.strip()
        if not equals:
            raise BenchError(f"--option {pair}: write KEY=VALUE")
        if key in options:
            raise BenchError(f"--option {key}: given twice; keep one of the two")
        options[key] = text
        with suppress(SuiteError):
            value = Source(text, name).data
            if not isinstance(value, dict):
                options[key] = value
    return options
