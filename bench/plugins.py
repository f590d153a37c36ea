"""Names to classes, looked up when they are used.

Each folder of parts (datasets, first stages, rerankers) keeps one table `name -> "module:Class"`, so that listing names imports
nothing, and an outsider's class is named in the same way. The idea is the lazy registry of lm-evaluation-harness.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.errors import SuiteError, Unavailable, first_line, nearest


def resolve(name: str, table: Mapping[str, str], kind: str) -> Any:
    """The class behind a table name, or behind an outsider's "package.module:Class".

    Raises SuiteError for an unknown name or a module that fails on import, and Unavailable when it needs a package that is not installed.
    """
    target = table.get(name, name)
    module_name, _, attribute = target.partition(":")
    if not attribute:
        raise SuiteError(f"unknown {kind} '{name}': {nearest(name, table)}")
    if not all(step.isidentifier() for step in module_name.split(".")):
        raise SuiteError(f"{kind} '{name}': '{module_name}' is not the name of a module; a class is named as in my_package.module:Class")
    if name not in table and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))  # an outsider's module beside the suite; a console script lacks the working folder
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name and (module_name == error.name or module_name.startswith(f"{error.name}.")):
            raise SuiteError(f"{kind} '{name}': there is no module '{error.name}' on the Python path") from error
        raise Unavailable(f"{error.name} not installed", f"pip install {error.name}") from error
    except (Exception, SystemExit) as error:  # an outsider's module may raise anything, or exit
        raise SuiteError(f"{kind} '{name}': module '{module_name}' cannot be imported: {first_line(error)}") from error
    try:
        return getattr(module, attribute)
    except AttributeError as error:
        raise SuiteError(f"{kind} '{name}': module '{module_name}' has no '{attribute}'") from error


def require(package: str, extra: str) -> Any:
    """Import a heavy package where it is used, or say which extra installs it."""
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError as error:
        if error.name and error.name.partition(".")[0] != package.partition(".")[0]:
            raise
        raise Unavailable(f"{package.partition('.')[0]} not installed", f"pip install 'rerank-bench[{extra}]'") from error
