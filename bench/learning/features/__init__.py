"""The features of a learned stage, by family. A new one is a function from a view of one query to
its columns, and a line in the table.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bench.core.digest import digest_of, file_digest
from bench.core.errors import SuiteError
from bench.core.handed import is_handed
from bench.core.module_files import module_files
from bench.core.plugins import resolve

FAMILIES: dict[str, str] = {
    "before": "bench.learning.features.scores:before",
    "first": "bench.learning.features.scores:first",
    "stages": "bench.learning.features.scores:stages",
    "bm25": "bench.learning.features.lexical:bm25",
    "lengths": "bench.learning.features.lexical:lengths",
    "idf": "bench.learning.features.lexical:idf",
    "overlap": "bench.learning.features.lexical:overlap",
    "proximity": "bench.learning.features.lexical:proximity",
    "cosine": "bench.learning.features.scores:cosine",
    "fields": "bench.learning.features.fields:fields",
}
"""Family -> its function. Each gives the same columns for every query of a collection."""
VERSION = 2
"""Of the code: another number where a feature or a model gives other values than before."""


def own_functions(names: Sequence[str]) -> dict[str, Callable[..., Any]]:
    """Return an outsider's functions by the names that the suite has for them. Raises SuiteError
    for one that is not there, or that cannot be called.
    """
    functions: dict[str, Callable[..., Any]] = {}
    for name in names:
        function = resolve(name, {}, "feature")
        if not callable(function):
            raise SuiteError(f"feature '{name}': it is no function (query, documents) -> numbers")
        functions[name] = function
    return functions


def code_digests(names: Sequence[str]) -> dict[str, str]:
    """Return, per function of an outsider, the digest of its module's files and of those that this
    imports from the same folder; of an object that is called, also of its class's. Empty where it
    has none, so that nobody knows whether it is still the same.
    """
    digests: dict[str, str] = {}
    for name, function in own_functions(names).items():
        digests[name] = ""
        files = _files(name, function)
        if files:
            digests[name] = digest_of([file_digest(file) for file in files])
    return digests


def _files(name: str, function: Callable[..., Any]) -> list[Path]:
    """Return the files of a function's code. Of an object that was handed over there are none: what
    it holds is in no file.
    """
    is_object = not inspect.isroutine(function) and not inspect.isclass(function)
    if not is_handed(name):
        modules = [name.partition(":")[0]]
        if is_object:
            modules += [kind.__module__ for kind in type(function).__mro__]
            # a functools.partial is known by the version of Python
            modules = [name for name in modules if name not in sys.stdlib_module_names]
        files: list[Path] = []
        for module in dict.fromkeys(modules):
            files += module_files(module)
        return list(dict.fromkeys(files))
    if is_object:
        return []
    # one that a notebook handed over
    source = inspect.getsourcefile(function)
    return [Path(source)] if source is not None and Path(source).is_file() else []
