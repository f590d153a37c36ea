"""Sequences whose items are made when they are asked for."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import Generic, TypeVar, overload

Place = TypeVar("Place")
Item = TypeVar("Item")


class LateSequence(Sequence[Item], Generic[Place, Item]):
    """An item per place, made anew at every access. Subclasses say how."""

    def __init__(self, places: Sequence[Place]) -> None:
        self._places = places

    @abstractmethod
    def _item(self, place: Place) -> Item:
        """Return the item of a place."""

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[Item]:
        return map(self._item, self._places)

    @overload
    def __getitem__(self, at: int) -> Item: ...
    @overload
    def __getitem__(self, at: slice) -> list[Item]: ...
    def __getitem__(self, at: int | slice) -> Item | list[Item]:
        if isinstance(at, slice):
            return [self._item(place) for place in self._places[at]]
        return self._item(self._places[at])
