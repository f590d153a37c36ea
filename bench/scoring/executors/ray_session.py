"""A connection to Ray: to one that is started here, or to a cluster that runs.

Ray is imported and started when it is first used, and ended by `close`: nothing of what was started
here is left, neither processes nor files. Arguments of `ray.init`, and the environment variables
that Ray reads: Ray's documentation, "Configuring Ray" and "Ray token authentication".
"""

from __future__ import annotations

import importlib
import logging
import os
import signal
import socket
import subprocess
import tempfile
import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from typing import Any

from bench.core.errors import Unavailable
from bench.core.fresh_python import command, environment, last_line
from bench.core.left_folder import left_folder

SCHEME = "ray://"
SECONDS_TO_CONNECT = 5.0
SECONDS_TO_ANSWER = 30.0
"""Within which a cluster answers, or counts as unreachable. Ray itself waits for minutes."""
NO_SERVICE = "Failed to connect to socket"
"""What Ray writes before it ends a process on a machine that has no service of the cluster."""
STORE_BYTES = 100 << 20
"""Of Ray's object store: a chunk of texts is there only on its way."""
LONGEST_FOLDER = 40
"""Characters of a folder for temporary files in which the paths of Ray's sockets have room."""
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # says what future versions will do, at each start
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}
LOCAL = {
    # else Ray writes a token into the home folder
    "RAY_AUTH_MODE": "disabled",
}
"""What is set, where the user has not set it, for a Ray that is started here."""


class Session:
    """A connection that begins with `connected`. `cpus` are those that a Ray started here has to
    give.
    """

    def __init__(self, address: str | None, cpus: float) -> None:
        self._address = address or os.environ.get("RAY_ADDRESS") or None
        self._cpus = cpus
        self._ray: Any = None
        self._is_ours = False
        self._left = ExitStack()
        """What is set back and removed at the end."""

    @property
    def is_own(self) -> bool:
        """Whether Ray was started here, for this process alone."""
        return self._is_ours and self._address is None

    def check(self) -> None:
        """Raise Unavailable where Ray is not installed, or no cluster answers at the address."""
        if find_spec("ray") is None:
            raise Unavailable("ray not installed", "pip install 'rerank-bench[ray]'")
        if self._address is not None and self._ray is None:
            _require_answer(self._address)

    def connected(self) -> Any:
        """Return the module `ray`, connected. Raises Unavailable where it cannot be."""
        if self._ray is not None:
            return self._ray
        is_local = self._address is None
        self._left.enter_context(_variables(QUIET | LOCAL if is_local else QUIET))
        ray = _imported()
        if not ray.is_initialized():
            self._start(ray)
            self._is_ours = True
        self._ray = ray
        return ray

    def close(self) -> None:
        """End the connection, and the Ray that was started for it. Idempotent."""
        if self._ray is not None and self._is_ours:
            with _own_signals(), _without_interrupts():
                self._ray.shutdown()
        self._ray = None
        self._is_ours = False
        self._left.close()

    def _start(self, ray: Any) -> None:
        quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
        try:
            if self._address is not None:
                address = self._address.removeprefix(SCHEME)
                with _own_signals():
                    ray.init(address=address, **quiet)
            else:
                self._start_here(ray, quiet)
        except Exception as error:  # Ray raises many kinds, a bare Exception among them
            ray.shutdown()
            self.close()
            reason = str(error).strip().partition("\n")[0]
            raise Unavailable(f"Ray did not start: {reason}") from error
        except BaseException:
            # an interrupt, while processes were being started
            ray.shutdown()
            self.close()
            raise
        _silence()

    def _start_here(self, ray: Any, quiet: dict[str, Any]) -> None:
        place = tempfile.gettempdir()
        if len(place) > LONGEST_FOLDER:
            place = "/tmp"
        folder = self._left.enter_context(left_folder("rb-", place))
        # of the processes that Ray starts: what they leave is removed with the folder
        paths = {"PYTHONPATH": environment()["PYTHONPATH"], "TMPDIR": folder}
        with _variables(paths, override=True), _own_signals():
            ray.init(
                # RAY_ADDRESS is not set here: see __init__
                address="local",
                num_cpus=self._cpus,
                include_dashboard=False,
                object_store_memory=STORE_BYTES,
                _temp_dir=folder,
                **quiet,
            )


def _imported() -> Any:
    with warnings.catch_warnings():
        # of the libraries that it brings along
        warnings.simplefilter("ignore")
        return importlib.import_module("ray")


def _require_answer(address: str) -> None:
    """Raise Unavailable unless a cluster answers at an address, of which this machine is one,
    within bounded time.
    """
    place = address.removeprefix(SCHEME)
    problem = f"no Ray cluster answers at {address}"
    fix = (
        "The address is HOST:PORT of `ray start --head` (6379 by default), as a machine of the "
        "cluster reaches it: docs/cluster.md"
    )
    if place != "auto":
        host, _, port = place.rpartition(":")
        if not port.isdecimal():
            raise Unavailable(f"{problem}: it names no port", fix)
        try:
            socket.create_connection((host.strip("[]"), int(port)), SECONDS_TO_CONNECT).close()
        except (OSError, ValueError, OverflowError) as error:
            raise Unavailable(f"{problem}: {error}", fix) from error
    try:
        done = subprocess.run(
            [*command("bench.scoring.executors.ray_probe"), place],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env={**environment(), **QUIET},
            timeout=SECONDS_TO_ANSWER,
            text=True,
        )
    except subprocess.TimeoutExpired as error:
        raise Unavailable(problem, fix) from error
    if NO_SERVICE in done.stderr:
        raise Unavailable(
            f"this machine is none of the Ray cluster at {address}",
            "Run the command on one that is, or have it join with `ray start --address=HOST:PORT`: "
            "docs/cluster.md",
        )
    if done.returncode:
        raise Unavailable(f"{problem}: {last_line(done.stderr)}", fix)


@contextmanager
def _variables(values: dict[str, str], *, override: bool = False) -> Iterator[None]:
    """Set environment variables, those that are set already only where they are to be
    overridden.
    """
    before = {name: os.environ.get(name) for name in values}
    for name, value in values.items():
        if override or before[name] is None:
            os.environ[name] = value
    try:
        yield
    finally:
        for name, value_before in before.items():
            if value_before is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value_before


@contextmanager
def _own_signals() -> Iterator[None]:
    """Keep this process's way to end on SIGTERM: Ray puts its own in the place."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handler = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, handler)


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """Ignore a second interrupt for some seconds: in the midst of its ending Ray ends the process
    over it, with an exit code that is none of ours.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)


def _silence() -> None:
    """Have Ray print nothing of a worker's end: the run says it. There is no public switch."""
    worker: Any = importlib.import_module("ray._private.worker")
    if hasattr(worker, "_worker_logs_enabled"):
        worker._worker_logs_enabled = False
