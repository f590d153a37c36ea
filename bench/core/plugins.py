"""Names to classes, looked up when they are used.

Each folder of parts (datasets, first stages, rerankers) keeps one table `name -> "module:Class"`,
so that listing names imports nothing, and an outsider's class is named in the same way. The idea is
the lazy registry of lm-evaluation-harness.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Mapping, Sequence
from importlib.machinery import PathFinder
from importlib.util import module_from_spec
from pathlib import Path
from types import ModuleType
from typing import Any

from bench.core.errors import SuiteError, Unavailable, nearest, nearest_of
from bench.core.handed import handed, is_handed
from bench.core.outsiders import OutsiderError, outsiders_code

OURS = "bench."
"""How the module of a class of this project begins."""
SCHEMES = ("packaged", "tiny")
"""How models begin that come with this project: the option `model` of a backend takes them."""
_FOLDERS: list[str] = []
"""Where suites lie that were read in this process, that of the latest first."""
_SENT: dict[str, str] = {}
"""Top-level modules that were sent to this process, and the folder that each was written into."""


def is_ours(kind: type) -> bool:
    """Return whether a class comes with this project, and is no outsider's."""
    return kind.__module__.startswith(OURS)


def name_of(part: Any) -> str:
    """Return `module:name`, as a suite would write a class or a function; of an object, that of its
    class.
    """
    definition = part
    if not hasattr(part, "__qualname__"):
        definition = type(part)
    return f"{definition.__module__}:{definition.__qualname__}"


def resolve(name: str, table: Mapping[str, str], kind: str) -> Any:
    """Return the class behind a table name, or behind an outsider's "package.module:Class".

    Raises SuiteError for an unknown name or a module that fails on import, and Unavailable when it
    needs a package that is not installed.
    """
    if is_handed(name):
        part = handed(name)
        if part is None:
            raise SuiteError(
                f"{kind} '{name}': the object is gone, or was handed over to another process"
            )
        return part
    target = table.get(name, name)
    module_name, _, attribute = target.partition(":")
    if not attribute:
        raise SuiteError(f"unknown {kind} '{name}': {nearest(name, table)}")
    if not all(step.isidentifier() for step in module_name.split(".")):
        raise SuiteError(
            f"{kind} '{name}': '{module_name}' is not the name of a module; a class is named as "
            "in my_package.module:Class"
        )
    try:
        with outsiders_code():
            # also of what is in sys.modules: another thread may be importing it
            module = _imported(kind, name, module_name, is_ours=name in table)
    except OutsiderError as error:
        raise SuiteError(
            f"{kind} '{name}': module '{module_name}' cannot be imported: {error}"
        ) from error.cause
    try:
        return getattr(module, attribute)
    except AttributeError as error:
        problem = f"{kind} '{name}': module '{module_name}' has no '{attribute}'"
        names = [key for key in vars(module) if not key.startswith("_")]
        close = nearest_of(attribute, names)
        if close:
            problem = f"{problem}: did you mean '{close}'?"
        raise SuiteError(problem) from error


def _imported(kind: str, name: str, module_name: str, *, is_ours: bool) -> ModuleType:
    """Import the module of a part.

    Raises SuiteError where there is none, Unavailable where it needs a package that is not here.
    """
    try:
        if is_ours:
            return importlib.import_module(module_name)
        return _import_outsider(module_name)
    except ModuleNotFoundError as error:
        if error.name and (module_name == error.name or module_name.startswith(f"{error.name}.")):
            problem = (
                f"{kind} '{name}': there is no module '{error.name}' in the working folder, in the "
                "suite's, or on the Python path"
            )
            if kind == "reranker" and module_name in SCHEMES:
                problem = (
                    f"{kind} '{name}': this names a model, and a backend is needed: "
                    f"cross-encoder: {{model: '{name}'}}, or bi-encoder"
                )
            raise SuiteError(problem) from error
        raise Unavailable(f"{error.name} not installed", f"pip install {error.name}") from error


def look_in(folder: Path) -> None:
    """Have outsiders' modules looked for in a folder too: that of the suite that names them."""
    place = str(folder.resolve())
    if place in _FOLDERS:
        _FOLDERS.remove(place)
    _FOLDERS.insert(0, place)


def take_from(folder: Path, module: str) -> None:
    """Have a top-level module come from this folder, whatever the others have of its name."""
    look_in(folder)
    _SENT[module] = str(folder)


def _import_outsider(name: str) -> ModuleType:
    """Import a module of the working folder, of a suite's folder, or of the Python path.

    The named module is looked for in the folders first, and what it imports there last: a `json.py`
    or a `bench.py` that happens to lie in them takes nobody's place.
    """
    folders = list(dict.fromkeys([str(Path.cwd()), *_FOLDERS]))
    sys.path += [folder for folder in folders if folder not in sys.path]
    top = name.partition(".")[0]
    if top in _SENT:
        folders = [_SENT[top]]
    if top not in sys.modules:
        _import_from(folders, top)
    module = importlib.import_module(name)
    _refuse_other(module, folders)
    return module


def _refuse_other(module: ModuleType, folders: Sequence[str]) -> None:
    """Raise SuiteError where a module is not the one that the first of these folders has of its
    name: another suite's, which this process has imported before.
    """
    places: Sequence[str] | None = folders
    own: str | None = None
    steps = module.__name__.split(".")
    if steps[0] == OURS.rstrip("."):
        return
    for count in range(1, len(steps) + 1):
        spec = PathFinder.find_spec(".".join(steps[:count]), places)
        if spec is None:
            return
        own, places = spec.origin, spec.submodule_search_locations
    loaded = getattr(module, "__file__", None)
    if own and loaded and os.path.isfile(own) and os.path.realpath(own) != os.path.realpath(loaded):
        raise SuiteError(
            f"this process has imported {loaded}, and the suite's is {own}: give one of the two "
            "another name, or run this suite in a process of its own"
        )


def _import_from(folders: Sequence[str], name: str) -> None:
    """Import a top-level module, where one of these folders has it."""
    spec = PathFinder.find_spec(name, folders)
    if spec is None or spec.loader is None:
        return
    module = module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise


def require(package: str, extra: str) -> Any:
    """Import a heavy package where it is used.

    Raises Unavailable naming the extra that installs it.
    """
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError as error:
        if error.name and error.name.partition(".")[0] != package.partition(".")[0]:
            raise
        raise Unavailable(
            f"{package.partition('.')[0]} not installed", f"pip install 'rerank-bench[{extra}]'"
        ) from error
