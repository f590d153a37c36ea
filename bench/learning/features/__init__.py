"""The features of a learned stage, by family. A new one is a function from a view of one query to
its columns, and a line in the table.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bench.core.digest import file_digest
from bench.core.errors import SuiteError
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
    """Return the digest of the file of each of an outsider's functions; empty where it has none."""
    digests: dict[str, str] = {}
    for name, function in own_functions(names).items():
        path = inspect.getsourcefile(function)
        digests[name] = file_digest(Path(path)) if path is not None else ""
    return digests
