"""Which folder a run is written to: that of an interrupted run which may be continued, else a new
one.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.core.atomic import clear_remains
from bench.core.errors import BenchError, RecordError
from bench.core.handed import is_handed
from bench.core.note import Code, note
from bench.core.wording import worded
from bench.records.folder import read_info
from bench.records.schema import SCHEMA_VERSION, RunInfo
from bench.records.writer import RunWriter, now


def open_run(out: Path, info: RunInfo) -> RunWriter:
    """Return a writer that continues the newest unfinished run of the same suite with the same
    inputs, else one of a new folder `out/<suite>/<UTC time>-<short id>`. Its `notes` say which, and
    why an unfinished run is left as it is.

    Raises BenchError where no folder can be made.
    """
    suite_folder = out / info.suite
    notes: list[str] = []
    for folder in _unfinished(suite_folder, info):
        try:
            interrupted = read_info(folder)
            if interrupted.schema_version != SCHEMA_VERSION:
                raise RecordError("it is of an earlier version of rerank-bench")
            differing = interrupted.differing_inputs(info)
            if objects := [name for name in differing if is_handed(name)]:
                raise RecordError(f"whether {', '.join(objects)} is as it was, nothing can tell")
            if differing:
                raise RecordError(f"{', '.join(differing)} changed since")
            if writer := _continued(folder, info):
                return writer
        except (OSError, BenchError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            notes.append(f"the unfinished run {folder.name} is not continued: {reason}")
    folder = suite_folder / info.id
    try:
        folder.mkdir(parents=True)
        lock = try_lock(folder)
    except OSError as error:
        reason = error.strerror or str(error)
        raise BenchError(
            f"{folder}: cannot be made: {reason}; choose another place with --out"
        ) from error
    writer = RunWriter(folder, info, lock, notes[:1])
    writer.write_info()
    return writer


def _unfinished(suite_folder: Path, info: RunInfo) -> Iterator[Path]:
    """Yield the folders of unfinished runs of the same suite, the newest first. What cannot be read
    is no run of ours.
    """
    for path in sorted(suite_folder.glob("*/run.json"), reverse=True):
        try:
            other = read_info(path.parent)
        except (OSError, RecordError):
            continue
        if other.status == "running" and other.suite_hash == info.suite_hash:
            yield path.parent


def _continued(folder: Path, info: RunInfo) -> RunWriter | None:
    """Take up an unfinished run; None where another process is at work in it, or has finished it
    meanwhile. Raises OSError or BenchError where the folder is another user's."""
    lock = try_lock(folder)
    if lock is None:
        return None
    interrupted = read_info(folder)
    if interrupted.status != "running":
        lock.release()
        return None
    clear_remains(folder, below=True)
    times = [*interrupted.continued, now()]
    writer = RunWriter(
        folder, interrupted.model_copy(update={"trials": info.trials, "continued": times}), lock
    )
    done = len(writer.finished())
    continued = note(Code.CONTINUED, done, len(info.trials), moment=times[-1])
    writer.notes = [worded(continued)]
    writer.warn([continued])
    try:
        writer.write_info()
    except BenchError:
        writer.release()
        raise
    return writer


def try_lock(folder: Path) -> Any:
    """Return a held lock on the folder, or None when another process holds it. The system lets go
    of it when a process dies. Raises OSError where the folder is another user's.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return None
    return lock
