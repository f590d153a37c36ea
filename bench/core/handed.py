"""Objects that a notebook hands over in the place of a name: a class, a function or a model that is
loaded already. A suite names them as "handed:Name"; another process cannot find them.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from typing import Any
from weakref import ref

PREFIX = "handed:"
_OBJECTS: dict[str, Any] = {}
"""Name -> a function that returns the object: weak where that can be, so that a model is freed when
its owner lets it go.
"""


def name_among(thing: Any, objects: Mapping[str, Any]) -> str:
    """Return the name of an object among those of a suite: that of its function or class, with a
    number where another object has it.
    """
    kind = thing if inspect.isroutine(thing) or inspect.isclass(thing) else type(thing)
    plain = re.sub(r"\W+", "_", kind.__qualname__).strip("_") or "thing"
    name, number = f"{PREFIX}{plain}", 1
    while name in objects and objects[name] is not thing:
        number += 1
        name = f"{PREFIX}{plain}_{number}"
    return name


def hand_over(objects: Mapping[str, Any]) -> None:
    """Have these names lead to these objects, until others take them."""
    for name, thing in objects.items():
        _OBJECTS[name] = _holder(thing)


def is_handed(name: str) -> bool:
    return name.startswith(PREFIX)


def handed(name: str) -> Any:
    """Return the object of a name; None where there is none any more."""
    holder = _OBJECTS.get(name)
    return None if holder is None else holder()


def _holder(thing: Any) -> Any:
    try:
        return ref(thing)
    except TypeError:  # of a kind that has no weak references
        return lambda: thing
