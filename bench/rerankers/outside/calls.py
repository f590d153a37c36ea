"""Whether code of an outsider can be called as a reranker calls it: known without a call."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from bench.core.errors import SuiteError

ASYNC = "is async, so that a call gives no numbers: write it with plain def"
YIELDS = "yields, and all numbers are needed at once: return a list or an array"
NO_NUMBERS: Mapping[Callable[[Any], bool], str] = {
    inspect.iscoroutinefunction: ASYNC,
    inspect.isasyncgenfunction: ASYNC,
    inspect.isgeneratorfunction: YIELDS,
}


def check_call(function: Any, arguments: tuple[str, ...], name: str) -> None:
    """Raise SuiteError where a function does not take these arguments, or answers with something
    that is to be awaited or iterated.
    """
    code = function
    if not inspect.isroutine(function):
        code = type(function).__call__
    for is_kind, problem in NO_NUMBERS.items():
        if is_kind(code):
            raise SuiteError(f"{name} {problem}")
    try:
        # a decorator may give what the function below it lacks
        signature = inspect.signature(function, follow_wrapped=False)
    except (TypeError, ValueError):
        # written in C, or says nothing of itself
        return
    try:
        signature.bind(*arguments)
    except TypeError as error:
        call = ", ".join(argument for argument in arguments if argument != "self")
        raise SuiteError(f"{name} cannot be called with ({call}): {error}") from error


def check_method(candidate: Any, method: str, arguments: tuple[str, ...], name: str) -> None:
    """Raise SuiteError as `check_call` does, for a method of an object or a class."""
    if inspect.isclass(candidate):
        definition = inspect.getattr_static(candidate, method)
        if inspect.isfunction(definition):
            arguments = ("self", *arguments)
        elif not isinstance(definition, staticmethod | classmethod):
            # what it is, an object of the class will know
            return
    check_call(getattr(candidate, method), arguments, f"{name}.{method}")
