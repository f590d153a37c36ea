"""The command in a process that is forked off one which has imported the libraries: it is killed
like any other, and begins at once.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

_FORKS = multiprocessing.get_context("forkserver") if os.name == "posix" else None
LIBRARIES = (
    "bench.cli.main",
    "bench.runner.loop",
    "bench.reports",
    "bench.reports.plots.tradeoff",
    "bench.retrieval.bm25",
    "bm25s",
    "httpx",
    "ir_measures",
    "matplotlib.backends.backend_agg",
    "pandas",
    "pyarrow.parquet",
    "scipy.stats",
    "tests.support.fakes",
)


class Forked:
    """A command at work, with what tests of kills use of a `subprocess.Popen`."""

    def __init__(
        self, arguments: Sequence[str], folder: Path, environment: Mapping[str, str], errors: Path
    ) -> None:
        assert _FORKS is not None
        _FORKS.set_forkserver_preload(list(LIBRARIES))
        values = (list(arguments), str(folder), dict(environment), str(errors))
        self._process = _FORKS.Process(target=_run, args=values)
        self._process.start()

    def poll(self) -> int | None:
        """Return how it ended, None where it has not."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Return how it ended. Raises subprocess.TimeoutExpired where it does not in time."""
        self._process.join(timeout)
        code = self._process.exitcode
        if code is None:
            raise subprocess.TimeoutExpired("rerank-bench", timeout or 0)
        return code

    def kill(self) -> None:
        self._process.kill()

    def send_signal(self, number: int) -> None:
        """Send a signal, SIGKILL or one that the command answers."""
        assert self._process.pid is not None
        os.kill(self._process.pid, number)


def _run(arguments: list[str], folder: str, environment: dict[str, str], errors: str) -> None:
    """Run the command as `python -m bench` does, with its messages in a file."""
    from bench.cli.main import main

    os.chdir(folder)
    os.environ.update(environment)
    for descriptor, path in ((1, os.devnull), (2, errors)):
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(file, descriptor)
        os.close(file)
    sys.path.insert(0, folder)
    sys.argv = ["rerank-bench", *arguments]
    main()
