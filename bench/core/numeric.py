"""Numbers that a suite asks for: a boolean is none of them, though Python counts True as 1, and
some have an end.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

MOST_THREADS = 1024
"""CPU threads of one operation that may be asked for: libraries start as many as they are told to,
and over a slip such as 100000 they end the process, or are at it for hours.
"""
NO_NUMBER = "should be a number, not true or false (YAML reads yes, no, on and off as these, too)"


def refuse_boolean(annotation: Any, value: object) -> None:
    """Raise ValueError where a value of this type is a boolean, or holds one, in the place of a
    number. Types that may be booleans take them.
    """
    if isinstance(value, bool):
        if _is_number(annotation):
            raise ValueError(NO_NUMBER)
    elif isinstance(value, Mapping):
        for inner in filter(_may_hold_one, value.values()):
            _refuse_inside(annotation, inner, Mapping)
    elif isinstance(value, list | tuple):
        for inner in filter(_may_hold_one, value):
            _refuse_inside(annotation, inner, tuple)


def _may_hold_one(value: object) -> bool:
    return isinstance(value, bool | Mapping | list | tuple)


def _refuse_inside(annotation: Any, value: object, holder: type) -> None:
    """Raise ValueError for a boolean where every holder of this type has numbers."""
    for kind in _alternatives(annotation):
        origin = get_origin(kind)
        is_mapping = isinstance(origin, type) and issubclass(origin, Mapping)
        if origin is not None and is_mapping == (holder is Mapping):
            inner = [part for part in get_args(kind) if part is not Ellipsis]
            if inner:
                refuse_boolean(inner[-1], value)


@cache
def _is_number(annotation: Any) -> bool:
    """Return whether a type takes numbers, and no booleans."""
    kinds = set(_alternatives(annotation)) - {NoneType}
    return bool(kinds & {int, float}) and not kinds & {bool, Any, object}


def _alternatives(annotation: Any) -> list[Any]:
    """Return the types that a type is a choice of, without constraints; itself where it is none."""
    origin = get_origin(annotation)
    if origin is None:
        return [annotation]
    if origin is Annotated:
        return _alternatives(get_args(annotation)[0])
    if origin in (Union, UnionType):
        kinds: list[Any] = []
        for part in get_args(annotation):
            kinds += _alternatives(part)
        return kinds
    return [annotation]
