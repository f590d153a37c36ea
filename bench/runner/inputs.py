"""What decides a run's numbers and is not in its suite file: data, judgments, run files, model
folders, code of outsiders, libraries.

An interrupted run is continued only where all of it is as it was: records of before and after would
otherwise stand in one table.
"""

from __future__ import annotations

import ast
import hashlib
import platform
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bench import rerankers
from bench.contract.part import Part
from bench.core.digest import file_digest
from bench.core.options import Kind, as_mapping
from bench.latency.scenarios import SCENARIOS
from bench.records.schema import ARGUMENT
from bench.suite.suite import Suite

LARGE = 64 * 2**20
"""Bytes from which on a file is known by its size and time of change: reading it would take as long
as using it.
"""
_CODE = re.compile(r"(?:custom:)?([A-Za-z_][\w.]*):[A-Za-z_]\w*")
_INSTALLED = {"site-packages", "dist-packages"}


def inputs(suite: Suite, libraries: Mapping[str, object], *, fresh: bool) -> dict[str, str]:
    """Return name -> digest or version: of each file, folder and module of an outsider that the
    suite names, by its last name alone (no path of this machine), of the libraries and of Python,
    and whether `--fresh` was given.
    """
    digests = {name: str(version) for name, version in libraries.items() if version}
    digests |= {"python": platform.python_version(), "--fresh": str(fresh)}
    collections, first_stages, later = _entries(suite)
    words = list(map(_of_dataset, collections))
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
        files = _sources(code[1]) if code else []
        if code and files:
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


def _of_dataset(part: Part) -> str:
    return part.name.removeprefix("files:")


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


def _sources(module: str) -> list[Path]:
    """Return the files of an outsider's module or package, and of the modules in the same folder
    that it imports, however indirectly. Of an installed one, the module's own file.
    """
    files: dict[Path, None] = {}
    names = [module.partition(".")[0]]
    place: Path | None = None
    # this package is known by its version
    seen: set[str] = {"bench"}
    while names:
        name = names.pop()
        if name in seen:
            continue
        seen.add(name)
        origin = _origin(name)
        if origin is None:
            continue
        is_package = origin.name == "__init__.py"
        folder = origin.parent.parent if is_package else origin.parent
        if _INSTALLED & set(origin.parts):
            if place is None:
                files[origin] = None
            continue
        if place not in (None, folder):
            continue
        place = folder
        own = sorted(origin.parent.rglob("*.py")) if is_package else [origin]
        files |= dict.fromkeys(own)
        for file in own:
            names += _imported(file)
    return list(files)


def _origin(name: str) -> Path | None:
    """Return the file of a top-level module, without importing it."""
    try:
        spec = find_spec(name)
    except (ImportError, ValueError):
        return None
    if spec is None or spec.origin is None or not Path(spec.origin).is_file():
        return None
    return Path(spec.origin)


def _imported(file: Path) -> frozenset[str]:
    """Return the top-level names that a Python file imports."""
    try:
        return _imported_by(file, file_digest(file))
    except (OSError, SyntaxError, ValueError):
        return frozenset()


@lru_cache(maxsize=4096)
def _imported_by(file: Path, digest: str) -> frozenset[str]:
    """Return the same, worked out once per process for each content of a file: a package may have
    hundreds.
    """
    names: set[str] = set()
    for node in _statements(ast.parse(file.read_bytes())):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    return frozenset(names)


def _statements(tree: ast.Module) -> Iterator[ast.AST]:
    """Yield every statement of a file, also inside functions: imports are never in expressions."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        for name in ("body", "orelse", "finalbody", "handlers", "cases"):
            waiting += getattr(node, name, ())
