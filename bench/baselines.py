"""Baselines: small run folders that are committed, named, and checked against. And which run a word on the command line means."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.atomic import write_atomically
from bench.errors import BenchError, RecordError, nearest
from bench.first_stage.run_file import metadata_path
from bench.records.schema import Record
from bench.records.store import Run, RunWriter, read_info

FOLDER = Path("results/baselines")
LARGE = 2 * 2**20
"""Bytes from which on a baseline is called large for a repository."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
KEPT_OF_MACHINE = ("cpu", "gpu", "os", "python", "libraries")
"""Of the environment: what helps to read a difference later. The speed key holds its own fields."""


def save(run: Run, name: str | None = None, folder: Path = FOLDER, *, replace: bool = False, latency: bool = False) -> Path:
    """Keep what a check reads of a finished run: records, per-query values, rankings, and its timings where `latency`. No texts, no
    reports, no command line, no path of this machine. Returns the baseline's folder, which is a run folder.

    Raises BenchError for a name that is taken (unless `replace`) or no file name, RecordError for a run that is not finished.
    """
    name = name or run.info.suite
    if not _NAME.fullmatch(name):
        raise BenchError(f"--name {name}: letters, digits, '.', '_' and '-' only, and a letter or digit first")
    if run.info.status != "done" or not run.records:
        raise RecordError(f"{run.folder}: the run is not finished, or nothing in it is: run its suite again, then save it")
    target = folder / name
    if target.exists() and not replace:
        raise BenchError(f"{target} is there already: give another --name, or --replace it")
    folder.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(dir=folder, prefix=f".{name}."))
    try:
        _write(run, made, latency)
        made.chmod(0o755)
        _put_in_place(made, target)
    except BaseException:
        shutil.rmtree(made, ignore_errors=True)
        raise
    return target


def _put_in_place(made: Path, target: Path) -> None:
    """Rename a folder to where another one may stand. A kill leaves one of the two whole, at worst beside its place."""
    old = made.with_name(f"{made.name}.old")
    if target.exists():
        target.rename(old)
    made.rename(target)
    shutil.rmtree(old, ignore_errors=True)


def saved(folder: Path = FOLDER) -> dict[str, Run]:
    """The baselines of a folder: name -> run."""
    return {path.parent.name: Run(path.parent) for path in sorted(folder.glob("[!.]*/run.json"))}


def size(folder: Path) -> int:
    """Bytes of all files."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def find(word: str | Path, folder: Path = FOLDER) -> Run:
    """The run that a word means: a run folder, a folder of runs (its newest finished one), or the name of a saved baseline.

    Raises RecordError naming the nearest baseline.
    """
    path = Path(word)
    if (path / "run.json").is_file():
        return Run(path)
    if newest := _newest(path):
        return newest
    if path.name == str(word) and (folder / path / "run.json").is_file():
        return Run(folder / path)
    if path.exists():
        return Run(path)  # says what is missing
    names = [found.parent.name for found in folder.glob("[!.]*/run.json")]
    hint = nearest(str(word), names) if names else "there are none yet: rerank-bench baseline save RUN"
    raise RecordError(f"{word}: neither a run folder nor a baseline in {folder} ({hint})")


def _newest(folder: Path) -> Run | None:
    """The newest finished run right inside a folder such as results/my-suite."""
    found: list[tuple[str, Path]] = []
    for path in folder.glob("[!.]*/run.json"):
        try:
            info = read_info(path.parent)
        except RecordError:
            continue
        if info.status == "done":
            found.append((info.started, path.parent))
    return Run(max(found)[1]) if found else None


def _write(run: Run, target: Path, latency: bool) -> None:
    info = run.info.model_copy(update={"command": "", "environment": _kept(run.info.environment)})
    timings = run.latency[run.latency["span"] == "total"] if latency else run.latency[:0]
    records = [_short(record, latency) for record in run.records.values()]
    writer = RunWriter(target, info, None)
    writer.save(records, run.per_query.itertuples(index=False), timings.itertuples(index=False))
    writer.set_status({})  # writes run.json
    for trial in run.records:
        ranking = Path("rankings") / f"{trial}.run.gz"
        for file in (ranking, metadata_path(ranking)):
            if (run.folder / file).is_file():
                write_atomically(target / file, (run.folder / file).read_bytes())


def _short(record: Record, latency: bool) -> Record:
    kept: dict[str, Any] = {"environment": _kept(record.environment)}
    if not latency:
        kept |= {"latency": None, "keys": {name: key for name, key in record.keys.items() if name != "speed"}}
    return record.model_copy(update=kept)


def _kept(environment: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in environment.items() if name in KEPT_OF_MACHINE}
