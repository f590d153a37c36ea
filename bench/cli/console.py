"""The terminal that commands print to."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.console import Console

    from bench.core.progress import Observer
    from bench.records.folder import RunFolder
    from bench.reports.document import Document


def open_console(stderr: bool = False) -> Console:
    """Return a terminal as wide as it is; see `screen`."""
    from bench.reports.renderers.screen import screen

    return screen(stderr=stderr)


def open_observer(*, quiet: bool = False) -> Observer:
    """Return who shows progress on standard error; quiet, what the work waits for alone."""
    from bench.reports.progress import QuietObserver, TerminalObserver

    console = open_console(stderr=True)
    return QuietObserver(console) if quiet else TerminalObserver(console)


def command_line() -> str:
    """Return the command that was given, without secrets and folders of this machine."""
    from bench.core.redaction import argument

    return shlex.join(["rerank-bench", *map(argument, sys.argv[1:])])


def warn(line: str) -> None:
    """Print a line next to what was asked for, which goes on."""
    click.echo(line, err=True)


def echo(document: Document, form: str, *runs: RunFolder) -> None:
    """Print a document: as a table as wide as the terminal, or in another format. `runs` are those
    that it is about: where a model has judged them, it says so.
    """
    from bench.reports.judges import marked
    from bench.reports.renderers import render, terminal

    document = marked(document, *runs)
    if form == "table":
        terminal.show(document, open_console())
    else:
        click.echo(render(document, form).rstrip("\n"))
