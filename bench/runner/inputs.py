"""What decides a run's numbers and is not in its suite file: data, judgments, run files, model
folders, code of outsiders, libraries.

An interrupted run is continued only where all of it is as it was: records of before and after would
otherwise stand in one table.
"""

from __future__ import annotations

import hashlib
import platform
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench import rerankers
from bench.contract.part import Part
from bench.core.digest import file_digest
from bench.core.module_files import module_files, refuse_changed
from bench.core.options import Kind, as_mapping
from bench.datasets import DatasetOptions
from bench.datasets.provenance import path_of
from bench.latency.scenarios import SCENARIOS
from bench.records.schema import ARGUMENT
from bench.suite.suite import Suite

LARGE = 64 * 2**20
"""Bytes from which on a file is known by its size and time of change: reading it would take as long
as using it.
"""
FINGERPRINT = "fingerprint of "
"""What the name of an input begins with that a reranker says of itself."""
_CODE = re.compile(r"(?:custom:)?([A-Za-z_][\w.]*):[A-Za-z_]\w*")


def inputs(suite: Suite, libraries: Mapping[str, object], *, fresh: bool) -> dict[str, str]:
    """Return name -> digest or version: of each file, folder and module of an outsider that the
    suite names, by its last name alone (no path of this machine), of the libraries and of Python,
    and whether `--fresh` was given. Raises SuiteError where this process has imported an earlier
    text of such a module.
    """
    digests = {name: str(version) for name, version in libraries.items() if version}
    digests |= {"python": platform.python_version(), "--fresh": str(fresh)}
    collections, first_stages, later = _entries(suite)
    words: list[str] = []
    for part in collections:
        words += [*_of_dataset(part), *_of_judgments(part)]
    for part in first_stages:
        words += _texts(part.options)
    for part in later:
        words += _of_reranker(part)
    for word in words:
        for path in _files_named(word, suite.base_dir):
            digests[path.name] = _combined(digests.get(path.name, ""), _of_path(path))
    for path in _argument_files(later, suite.base_dir):
        name = f"{ARGUMENT}{path.name}"
        digests[name] = _combined(digests.get(name, ""), _of_path(path))
    classes = [part.name for part in (*first_stages, *later)]
    classes.append(suite.executor.name)
    if suite.latency:
        classes += [SCENARIOS.get(name, name) for name in suite.latency.scenarios]
    for word in (*words, *classes):
        code = _CODE.fullmatch(word)
        files = module_files(code[1]) if code else []
        if code and files:
            refuse_changed(files)
            digests[code[1]] = _combined(*map(_of_file, files))
    return digests


def _entries(suite: Suite) -> tuple[list[Part], list[Part], list[Part]]:
    """Return the datasets, first stages and rerankers of a suite, those in pipelines and those that
    other stages are made of included.
    """
    parts: dict[Kind, list[Part]] = {"datasets": [], "first_stages": [], "rerankers": []}
    for placed in suite.placed():
        parts[placed.kind].append(placed.part)
    return parts["datasets"], parts["first_stages"], parts["rerankers"]


def _argument_files(parts: Sequence[Part], base_dir: Path) -> Iterator[Path]:
    """Yield the files and folders that outsiders' classes are given, but for the folder of
    everything, run folders included.
    """
    for part in parts:
        for word in _arguments(part):
            for path in _files_named(word, base_dir):
                if not base_dir.resolve().is_relative_to(path):
                    yield path


def _of_dataset(part: Part) -> list[str]:
    """Return the folder of a collection, and the file of the queries that are used of it."""
    words = [part.name.removeprefix("files:")]
    if isinstance(part.options, Mapping):
        words += _texts(part.options.get("only"))
    return words


def _of_judgments(part: Part) -> Iterator[str]:
    """Yield the file of judgments that a dataset's options name, and that of their provenance."""
    qrels = as_mapping(DatasetOptions, part.options).get("qrels")
    if isinstance(qrels, str):
        yield qrels
        yield str(path_of(Path(qrels)))


def _of_reranker(part: Part) -> list[str]:
    """Return the values of the options that name files; others, such as a log, may name what the
    run writes.
    """
    model = rerankers.options_for(part.name)
    options = as_mapping(model, part.options)
    words: list[str] = []
    for name in getattr(model, "paths", ()):
        words += _texts(options.get(name))
    return words


def _arguments(part: Part) -> Iterator[str]:
    """Yield every text that an outsider's class is given: any may name a file of weights."""
    return _texts(part.options if ":" in part.name else None)


def _texts(options: Any) -> Iterator[str]:
    """Yield every text of some options."""
    waiting: list[Any] = [options]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, Mapping):
            waiting += value.values()
        elif isinstance(value, list | tuple):
            waiting += value


def _files_named(word: str, base_dir: Path) -> list[Path]:
    """Return the file or folder that a text names, as a dataset does: `PATH` or `PATH#SPLIT`. Empty
    where it names none.
    """
    for name in (word, word.rpartition("#")[0]):
        try:
            path = (base_dir / Path(name).expanduser()).resolve()
            if name and path.exists():
                return [path]
        except (OSError, ValueError, RuntimeError):
            # too long for a name, a NUL, no home folder
            continue
    return []


def _of_path(path: Path) -> str:
    """Return the digest of a file, or of a folder's files and those of its subfolders: deeper ones
    are no data set's and no model's.
    """
    if path.is_file():
        return _of_file(path)
    files = sorted(file for file in (*path.glob("*"), *path.glob("*/*")) if file.is_file())
    return _combined(*(f"{file.relative_to(path).as_posix()} {_of_file(file)}" for file in files))


def _of_file(path: Path) -> str:
    """Return the digest of a file's contents, of a large one its size and time of change; empty
    where it cannot be read.
    """
    try:
        about = path.stat()
        if about.st_size > LARGE:
            return f"{about.st_size} {about.st_mtime_ns}"
        return file_digest(path)
    except OSError:
        # whoever needs it says so
        return ""


def _combined(*digests: str) -> str:
    return hashlib.sha256("\0".join(filter(None, digests)).encode()).hexdigest()[:16]
