"""A measure of ir_measures from its name, such as `nDCG(dcg='exp-log2')@10`.

ir_measures 0.4 reads names with members of Python's `ast` that Python 3.12 deprecates and 3.14 has
no more; here they are read as literals. Source: https://docs.python.org/3/whatsnew/3.14.html
("Removed", ast).
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterable
from typing import Any

PLAIN = (int, float, str, dict, type(None))


class Repetition(ValueError):
    """A name gives something twice, of which a measure can have but one."""


def measure_of(name: str) -> Any:
    """Return the measure. Raises ValueError where a name is no such expression or there is no
    measure of this name, Repetition where it gives a parameter or a grade twice.
    """
    from ir_measures.measures import registry

    try:
        expression = ast.parse(name, mode="eval").body
        at, parameters = None, {}
        if isinstance(expression, ast.BinOp) and isinstance(expression.op, ast.MatMult):
            at, expression = _value(expression.right), expression.left
        if isinstance(expression, ast.Call):
            if expression.args or not all(keyword.arg for keyword in expression.keywords):
                raise ValueError("parameters have names")
            parameters = {str(item.arg): _value(item.value) for item in expression.keywords}
            _require_once(str(item.arg) for item in expression.keywords)
            expression = expression.func
    except (SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise ValueError(str(error)) from error
    if not isinstance(expression, ast.Name) or expression.id not in registry:
        raise ValueError("no measure has this name")
    kind = registry[expression.id]
    if at is not None:
        _require_once([*parameters, kind.AT_PARAM])
        parameters[kind.AT_PARAM] = at
    try:
        return kind(**parameters)
    except TypeError as error:  # a parameter of the name of one of Python's own, such as self
        raise ValueError(str(error)) from error


def _value(node: ast.expr) -> Any:
    value = ast.literal_eval(node)
    if not isinstance(value, PLAIN):
        raise ValueError(f"a {type(value).__name__} is no parameter")
    if isinstance(node, ast.Dict):
        _require_once(repr(ast.literal_eval(key)) for key in node.keys if key)
    repr(value)  # raises ValueError for a number of more digits than Python writes
    return value


def _require_once(names: Iterable[str]) -> None:
    for name, times in Counter(names).items():
        if times > 1:
            raise Repetition(f"{name} is given twice")
