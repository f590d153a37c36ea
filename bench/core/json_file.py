"""JSON that may be anything by now: of a cache, of a model's folder, or edited by a person; and
what JSON does not hold.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any


def json_value(text: str | bytes) -> Any:
    """Return the value of a JSON text. Raises ValueError where it is none, or nested too deeply."""
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def read_json(path: Path) -> Any:
    """Return the value of a JSON file. Raises OSError where it cannot be read, ValueError where it
    holds no JSON text in UTF-8, or one that is nested too deeply.
    """
    return json_value(path.read_text(encoding="utf-8"))


def in_json(value: object) -> Any:
    """Return a value as JSON holds it: what it has no form for as text, a number that is none, too,
    which equals itself as text alone.
    """
    return json.loads(json.dumps(value, default=str), parse_constant=str)


def json_problem(value: object) -> str:
    """Return why a value is another one once it was JSON, as which run folders and other processes
    get it; empty where it is the same.
    """
    parts: Iterable[object] = ()
    if isinstance(value, float) and not math.isfinite(value):
        return f"{value} is no finite number"
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                return f"keys of an option are text: write '{key}' in the place of {key}"
        parts = value.values()
    elif isinstance(value, list | tuple):
        parts = value
    return next(filter(None, map(json_problem, parts)), "")
