"""Objects that a notebook hands over in the place of a name: a class, a function or a model that is
loaded already.

A suite names them as "handed:Name"; another process cannot find them.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from threading import RLock
from typing import Any
from weakref import ref

PREFIX = "handed:"
_HOLDERS: dict[str, Callable[[], object]] = {}
"""Name -> a function that returns the object: weak where that can be, so that a model is freed when
its owner lets it go.
"""
_LOCK = RLock()
"""Held while names are looked up: two threads may have another object each under one name."""


def name_among(part: Any, objects: Mapping[str, object]) -> str:
    """Return the name of an object among those of a suite: that of its function or class, with a
    number where another object has it.
    """
    kind = part
    if not inspect.isroutine(part) and not inspect.isclass(part):
        kind = type(part)
    plain = re.sub(r"\W+", "_", kind.__qualname__).strip("_") or "thing"
    name = f"{PREFIX}{plain}"
    number = 1
    while name in objects and objects[name] is not part:
        number += 1
        name = f"{PREFIX}{plain}_{number}"
    return name


@contextmanager
def handed_over(objects: Mapping[str, object]) -> Iterator[None]:
    """Have these names lead to these objects: in the block whatever other threads hand over, and
    after it until others take the names.
    """
    with _LOCK:
        for name, part in objects.items():
            _HOLDERS[name] = _holder(part)
        yield


def is_handed(name: str) -> bool:
    """Return whether a name leads to an object that was handed over."""
    return name.startswith(PREFIX)


def handed(name: str) -> Any:
    """Return the object of a name; None where there is none any more."""
    holder = _HOLDERS.get(name)
    if holder is None:
        return None
    return holder()


def _holder(part: object) -> Callable[[], object]:
    try:
        return ref(part)
    except TypeError:  # of a kind that has no weak references
        return lambda: part
