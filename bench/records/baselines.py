"""Baselines: small run folders that are committed, named, and checked against. And which run a word
on the command line means: `find` is asked by every command and function that takes a run.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.contract.identity import Fields
from bench.core.atomic import restore_folder, whole_folder, write_atomically
from bench.core.errors import BenchError, RecordError, nearest
from bench.core.paths import RESERVED
from bench.ranking.trec import metadata_path
from bench.records.facts import MachineFacts
from bench.records.folder import plain, read_info
from bench.records.run import Run
from bench.records.schema import SCHEMA_VERSION, Record
from bench.records.tables import PER_QUERY, read_stretches
from bench.records.writer import RunWriter

if TYPE_CHECKING:
    import pandas as pd

RUNS = Path("results")
"""Where `rerank-bench run` puts run folders, and `latest` is looked for."""
FOLDER = RUNS / "baselines"
LATEST = "latest"
LARGE = 2 * 2**20
"""Bytes from which on a baseline is called large for a repository."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
KEPT_OF_MACHINE = ("cpu", "gpu", "os", "python", "libraries")
"""Of the environment: what helps to read a difference later. The speed key holds its own fields."""


def save(
    run: Run,
    name: str | None = None,
    folder: Path = FOLDER,
    *,
    replace: bool = False,
    latency: bool = False,
) -> Path:
    """Keep what a check reads of a finished run: records, per-query values, rankings, and its
    timings where `latency`. No texts, no reports, no command line, no path of this machine. Returns
    the baseline's folder, which is a run folder.

    Raises BenchError for a name that is taken (unless `replace`) or no file name, RecordError for a
    run that is not finished.
    """
    name = name or run.info.suite
    if not _NAME.fullmatch(name):
        raise BenchError(
            f"--name {name}: letters, digits, '.', '_' and '-' only, and a letter or digit first"
        )
    if run.info.status != "done" or not run.records:
        raise RecordError(
            f"{run.folder}: the run is not finished, or nothing in it is: run its suite again, "
            "then save it"
        )
    if name.casefold() in RESERVED:
        raise BenchError(
            f"--name {name}: RUN means something else by that word; give another --name"
        )
    target = folder / name
    _restore(folder)
    if target.exists() and not replace:
        raise BenchError(f"{target} is there already: give another --name, or --replace it")
    try:
        # What a link points at is replaced, and the link stays.
        with whole_folder(Path(os.path.realpath(target)), replace=replace) as place:
            _write(run, place, latency)
    except OSError as error:
        raise BenchError(f"{target}: cannot be written: {error.strerror or error}") from error
    return target


def _restore(folder: Path) -> None:
    """Bring back every baseline that a killed `save` had moved aside."""
    for path in folder.glob(".*.old/run.json"):
        restore_folder(folder / path.parent.name[1:].removesuffix(".old"))


def saved(folder: Path = FOLDER) -> dict[str, Run]:
    """The baselines of a folder: name -> run."""
    _restore(folder)
    return {path.parent.name: Run(path.parent) for path in sorted(folder.glob("[!.]*/run.json"))}


def size(folder: Path) -> int:
    """Bytes of all files."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def find(
    word: str | Path, folder: Path = FOLDER, *, on_unfinished: Callable[[str], None] | None = None
) -> Run:
    """Return the run that a word means.

    That is a run folder, a folder of runs such as results/my-suite (its newest run of which a
    trial finished), the name of a saved baseline, or `latest`, the newest such run under `results`.
    `on_unfinished` gets a sentence where a newer run is not finished, or failed as a whole.
    Raises RecordError naming the nearest baseline or folder of runs.
    """
    if str(word) == LATEST:
        paths = RUNS.glob("[!.]*/[!.]*/run.json")
        if run := _newest((path for path in paths if path.parent.parent != FOLDER), on_unfinished):
            return run
        raise RecordError(
            f"{LATEST}: no finished run under {RUNS}: give the folder that `rerank-bench run` "
            "printed"
        )
    path = Path(word)
    restore_folder(path)
    if (path / "run.json").is_file():
        return Run(path)
    runs_of_suite = sorted(path.glob("[!.]*/run.json"))
    if run := _newest(runs_of_suite, on_unfinished):
        return run
    if runs_of_suite:
        raise RecordError(
            f"{word}: none of its runs is finished: run its suite again, which goes on with the "
            f"newest, or give the folder of that one: {runs_of_suite[-1].parent}"
        )
    _restore(folder)
    if path.name == str(word) and (folder / path / "run.json").is_file():
        return Run(folder / path)
    if path.exists():
        return Run(path)  # which says what is missing
    names = [path.parent.name for path in folder.glob("[!.]*/run.json")]
    runs = {path.parent.parent for path in RUNS.glob("[!.]*/[!.]*/run.json")}
    names += [str(path) for path in runs if path != FOLDER]
    hint = "there are none yet: rerank-bench baseline save RUN"
    if names:
        hint = nearest(str(word), names)
    raise RecordError(f"{word}: neither a run folder nor a baseline in {folder} ({hint})")


def _newest(paths: Iterable[Path], on_unfinished: Callable[[str], None] | None) -> Run | None:
    """Return the newest run of which a trial finished, else the newest finished one. Whatever is
    newer and cannot be used, one whose run.json cannot be read among them, is named.
    """
    usable: list[tuple[str, str, Path]] = []
    failed: list[tuple[str, str, Path]] = []
    useless: list[tuple[str, Path, str]] = []
    unreadable: list[Path] = []
    for path in paths:
        try:
            info = read_info(path.parent)
        except RecordError:
            unreadable.append(path.parent)
            continue
        started = max([info.started, *info.continued])
        run = (info.finished or info.started, info.started, path.parent)
        if info.status != "done":
            useless.append((started, path.parent, "this newest run is not finished"))
        elif any(trial.status == "done" for trial in info.trials):
            usable.append(run)
        else:
            failed.append(run)
            useless.append((started, path.parent, "no trial of this newest run finished"))
    if not usable and not failed:
        return None
    _, started, folder = max(usable or failed)
    newer = [run for run in useless if run[0] > started]
    # of these nothing is known but the name of the folder, which begins with the time
    for path in unreadable:
        if path.name > folder.name:
            newer.append(("", path, "run.json of this newest run cannot be read"))
    if on_unfinished and usable and newer:
        _, newest, reason = max(newer)
        on_unfinished(
            f"{newest}: {reason}: run its suite again, or give the folder of an older one: {folder}"
        )
    return Run(folder)


def _write(run: Run, target: Path, latency: bool) -> None:
    info = run.info.model_copy(
        update={
            "schema_version": SCHEMA_VERSION,
            "command": "",
            "environment": _kept(run.info.environment),
        }
    )
    records = [_short(record, latency) for record in run.records.values()]
    writer = RunWriter(target, info, None)
    timings = _timings(run) if latency else ()
    writer.save(records, _per_query(run), timings)
    writer.set_status({})  # writes run.json
    for trial in run.records:
        ranking = Path("rankings") / f"{trial}.run.gz"
        for file in (ranking, metadata_path(ranking)):
            if (run.folder / file).is_file():
                write_atomically(target / file, (run.folder / file).read_bytes())


def _timings(run: Run) -> Iterator[tuple[Any, ...]]:
    """The rows of whole calls."""
    return _rows(run, run.latency[run.latency["span"] == "total"])


def _per_query(run: Run) -> Iterator[tuple[Any, ...]]:
    """Yield the per-query rows of the trials that have a record, trial by trial."""
    for trial_id in run.records:
        for rows in read_stretches(run.folder, PER_QUERY, trial_id):
            yield from zip(*(column.to_pylist() for column in rows.columns), strict=True)


def _rows(run: Run, table: pd.DataFrame) -> Iterator[tuple[Any, ...]]:
    """The rows of the trials that have a record."""
    for row in table[table["trial"].isin(list(run.records))].itertuples(index=False):
        yield tuple(map(plain, row))


def _short(record: Record, latency: bool) -> Record:
    changes: dict[str, object] = {
        "schema_version": SCHEMA_VERSION,
        "environment": _kept(record.environment),
    }
    if not latency:
        changes |= {
            "latency": None,
            "timings": [],
            "keys": {name: key for name, key in record.keys.items() if name != "speed"},
        }
    return record.model_copy(update=changes)


def _kept(environment: MachineFacts) -> Fields:
    """Return what of a machine a baseline holds."""
    return {name: value for name, value in environment.items() if name in KEPT_OF_MACHINE}
