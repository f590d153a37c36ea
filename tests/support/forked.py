"""The command in a process that is forked off one which has imported the libraries: it is killed
like any other, and begins at once.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.reports.plots import style
from bench.reports.sections import SECTIONS

_FORKS = multiprocessing.get_context("forkserver") if os.name == "posix" else None
LIBRARIES = (
    "bench.cli.main",
    "bench.cli.running",
    "bench.datasets.checks",
    "bench.datasets.files",
    "bench.datasets.prepare",
    "bench.reports.plots.tradeoff",
    "bench.reports.progress",
    "bench.reports.renderers.html",
    "bench.reports.renderers.markdown",
    "bench.reports.renderers.terminal",
    "bench.reports.sections",
    "bench.rerankers.remote",
    "bench.retrieval.bm25",
    "bench.retrieval.bm25_index",
    "bench.runner.backlog",
    "bench.runner.history",
    "bench.runner.loop",
    "bench.suite.checks",
    "bm25s",
    "filelock",
    "httpx",
    "ir_measures",
    "jinja2",
    "matplotlib.backends.backend_agg",
    "matplotlib.figure",
    "pandas",
    "psutil",
    "pyarrow.parquet",
    "pytrec_eval",
    "scipy.stats",
    "tests.support.fakes",
    *(entry.function.partition(":")[0] for entry in SECTIONS.values()),
)
"""What a run imports on its way, and what its reports do."""


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
    """Run the command as `python -m bench` does, with its messages in a file. It waits for no disk,
    which outlives a kill, and draws no pixels.
    """
    from bench.cli.main import main

    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # nohup lets children ignore it
    os.fsync = _without_waiting
    style.image = _without_pixels
    os.chdir(folder)
    os.environ.update(environment)
    for descriptor, path in ((1, os.devnull), (2, errors)):
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(file, descriptor)
        os.close(file)
    sys.path.insert(0, folder)
    sys.argv = ["rerank-bench", *arguments]
    main()


def _without_waiting(fd: object) -> None:
    """Take the place of fsync."""


def _without_pixels(figure: object, form: str) -> bytes:
    return b""
