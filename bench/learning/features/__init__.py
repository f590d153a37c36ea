"""The features of a learned stage, by family. A new one is a function from a view of one query to
its columns, and a line in the table.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bench.core.digest import digest_of, file_digest
from bench.core.errors import SuiteError
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
    imports from the same folder; empty where it has none.
    """
    digests: dict[str, str] = {}
    for name, function in own_functions(names).items():
        files = module_files(name.partition(":")[0])
        digests[name] = ""
        if not files and inspect.isfunction(function):
            # one that a notebook handed over
            source = inspect.getsourcefile(function)
            files = [Path(source)] if source is not None and Path(source).is_file() else []
        if files:
            digests[name] = digest_of([file_digest(file) for file in files])
    return digests
