"""What makes two calls of `run` the same run, so that the second may continue the first."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from bench.core.digest import digest_of
from bench.core.errors import BenchError
from bench.core.outsiders import outsiders_code
from bench.core.redaction import redacted, redacted_text
from bench.core.version import version
from bench.machine import fingerprint
from bench.records.schema import RunInfo
from bench.records.writer import now
from bench.rerankers.description import identified
from bench.runner.inputs import FINGERPRINT, inputs
from bench.suite.planning import Group, Planned
from bench.suite.suite import Suite


def run_info(
    suite: Suite,
    groups: Sequence[Group],
    command: str,
    device: str | None,
    timed: bool,
    fresh: bool,
) -> RunInfo:
    """Return the table of contents of a run that has not begun."""
    resolved = suite.resolved()
    # Its secrets as well: an argument may only look like one. Nothing but the digest is stored.
    relevant = {**resolved, "device": device, "timed": timed, "version": version()}
    started, environment = now(), fingerprint.fingerprint("cpu")
    stamp = started.replace("-", "").replace(":", "")
    return RunInfo(
        id=f"{stamp}-{secrets.token_hex(3)}",
        suite=suite.name,
        description=redacted_text(suite.description),
        asked=redacted(suite.written),
        resolved=redacted(resolved),
        base_dir=_below_here(suite.base_dir),
        suite_hash=digest_of(relevant)[:16],
        command=command,
        started=started,
        version=version(),
        environment=dict(environment),
        inputs=inputs(suite, environment.get("libraries") or {}, fresh=fresh)
        | _fingerprints(groups)
        # of an object nobody can tell whether it is the same at another time
        | {name: secrets.token_hex(8) for name in suite.handed},
        trials=[planned.status for planned in _all(groups)],
    )


def _fingerprints(groups: Sequence[Group]) -> dict[str, str]:
    """Return what rerankers say decides their scores: what a server serves, or a file that only an
    outsider's class knows of.
    """
    digests: dict[str, str] = {}
    for planned in _all(groups):
        name = f"{FINGERPRINT}{planned.trial.reranker}"
        # What is given is of the candidates; what is not pending does no work.
        if (
            name not in digests
            and planned.status.status == "pending"
            and not planned.reranker.is_given
        ):
            try:
                with outsiders_code():
                    digests[name] = digest_of(identified(planned.reranker))[:16]
            except BenchError:  # its trial will fail by it, and say so
                continue
    return digests


def _below_here(folder: Path) -> str:
    """Return a suite's folder as seen from the working directory; nothing where it lies elsewhere:
    a record names no place of this machine.
    """
    folder, here = folder.resolve(), Path.cwd()
    return folder.relative_to(here).as_posix() if folder.is_relative_to(here) else ""


def _all(groups: Iterable[Group]) -> Iterator[Planned]:
    for group in groups:
        yield from group.planned
