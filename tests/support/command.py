"""The command as a user types it: in this process, or in one of its own where that is the point."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.cli.main import main
from tests.support.paths import ROOT

Ended = subprocess.CompletedProcess[str]
SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGTERM", "SIGHUP", "SIGALRM") if hasattr(signal, name)
)


def bench(
    *arguments: str, cwd: Path, width: int = 80, encoding: str = "utf-8", **environment: str
) -> Ended:
    """Return how the command ended, run in this process as if it were started in the folder `cwd`
    with standard streams of this encoding.
    """
    out, err = (
        io.TextIOWrapper(io.BytesIO(), encoding=encoding, write_through=True) for _ in range(2)
    )
    with (
        pytest.MonkeyPatch.context() as patch,
        _signals_as_before(),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        patch.chdir(cwd)
        patch.setattr(sys, "argv", ["rerank-bench", *arguments])
        patch.setattr(sys, "path", [*sys.path])
        for name, value in {"COLUMNS": str(width), **environment}.items():
            patch.setenv(name, value)
        with pytest.raises(SystemExit) as exit_:
            main()
    texts = [stream.buffer.getvalue().decode(encoding, "replace") for stream in (out, err)]
    return Ended(list(arguments), int(exit_.value.code or 0), *texts)


def bench_process(*arguments: str, cwd: Path, width: int = 80, **environment: str) -> Ended:
    """Return how the command ended, as a process of its own in the folder `cwd`."""
    env = {**os.environ, "COLUMNS": str(width), "PYTHONPATH": str(ROOT), **environment}
    return subprocess.run(
        [sys.executable, "-m", "bench", *arguments],
        cwd=cwd,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )


@contextlib.contextmanager
def _signals_as_before() -> Iterator[None]:
    """Give signals the handlers that they had: the command installs its own."""
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
