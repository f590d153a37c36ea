"""The command `rerank-bench`: its commands, and how errors are reported."""

from __future__ import annotations

import errno
import io
import os
import signal
import sys
import traceback
from pathlib import Path
from typing import Any

import click

from bench.cli.commands import Commands
from bench.core.errors import BenchError
from bench.core.printable import printable
from bench.core.redaction import redacted_text

BROKEN_PIPE = 141
"""As the shell reports a process that ended because nobody read its output."""
INTERNAL = 70
"""A fault of rerank-bench itself, apart from every verdict (EX_SOFTWARE of sysexits.h)."""
CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


class Program(click.Group):
    """The commands, whose first sentences wrap in the help, rather than end in "..."."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.table = Commands()
        self.commands = self.table

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        lines = [(name, self.table.sentence(name)) for name in sorted(self.table)]
        with formatter.section("Commands"):
            formatter.write_dl(lines)


@click.group(cls=Program, context_settings=CONTEXT)
@click.version_option(package_name="rerank-bench")
def cli() -> None:
    """Compare rerankers on quality, latency and cost.

    \b
    rerank-bench run quickstart        the shipped demo: offline, a few minutes on a laptop
    rerank-bench run my-suite.yaml     your own datasets, first stages and rerankers
    rerank-bench list rerankers        what can be named in a suite
    """


def main() -> None:
    """Run the command line: what the user can mend is reported in plain lines, exit code 2; an
    interrupt says how to go on.
    """
    # Who starts a process may close its streams (`>&-`): what nobody reads changes no exit code.
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115
    # A terminal that lacks a character is no reason to fail.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    code = _exit_code()
    try:
        sys.stdout.flush()
    except OSError as error:
        code = BROKEN_PIPE
        if error.errno != errno.EPIPE:
            click.echo(f"rerank-bench: standard output: {error.strerror}", err=True)
            code = BenchError.exit_code
        # Else the interpreter tries once more when it ends, with an exit code of its own.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)


INTERRUPTED = (
    "interrupted; run, tune, train, judge and check go on from what they have when asked again"
)


def _exit_code() -> int:
    """Run the command of the command line. Returns its exit code: never 1, which a command gives
    for its own reasons, for what broke.
    """
    signals = _ended_like_an_interrupt()
    try:
        code = cli.main(standalone_mode=False)
    except BenchError as error:
        click.echo(f"rerank-bench: {printable(redacted_text(str(error)))}", err=True)
        return error.exit_code
    except click.exceptions.Abort:
        click.echo(f"\nrerank-bench: {INTERRUPTED}", err=True)
        return 128 + next(iter(signals), signal.SIGINT)
    except click.ClickException as error:
        error.show()
        return BenchError.exit_code
    except OSError as error:
        reason = str(error.strerror or error)
        if error.filename:
            reason = f"{error.filename}: {reason}"
        elif isinstance(error, FileNotFoundError):
            reason = "the working folder is gone: change into one that exists"
        click.echo(f"rerank-bench: {reason}", err=True)
        return BenchError.exit_code
    except SystemExit:
        # click's answer to a reader of the output that has gone.
        return BROKEN_PIPE
    except Exception:
        click.echo(redacted_text(traceback.format_exc()), err=True, nl=False)
        click.echo(
            "rerank-bench: this is a fault of rerank-bench itself, please report it", err=True
        )
        return INTERNAL
    return code if isinstance(code, int) else 0


def _ended_like_an_interrupt() -> list[int]:
    """Make a request to end (SIGTERM, a closed terminal) a KeyboardInterrupt, so that what was paid
    for is kept as with Ctrl-C. Returns the list that the first such signal will be put into.
    """
    signals: list[int] = []
    process = os.getpid()

    def interrupt(number: int, frame: Any) -> None:
        if os.getpid() != process:
            # one that a reranker has forked: whoever ends it, such as a pool, means that one alone
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        # A supervisor may send it twice, to the process and to its group: once is enough.
        signal.signal(number, signal.SIG_IGN)
        signals.append(number)
        raise KeyboardInterrupt

    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        # What is ignored (nohup) or handled by who embeds this stays so.
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, interrupt)
    return signals
