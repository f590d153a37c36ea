"""Encoding of texts by somebody else than the process that needs their embeddings."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol, TypeVar

from bench.contract.identity import Fields
from bench.contract.recipe import Recipe
from bench.core.note import Note

Item = TypeVar("Item")


class EncodedTexts(NamedTuple):
    """The embeddings of some texts, as the files of a store by name; how many texts the model could
    read in part only; the seconds that encoding took; what to know of how it came about.
    """

    files: Mapping[str, bytes]
    cut: int
    seconds: float
    note: Note | None = None


class Encoder(Protocol):
    """Has texts encoded in several places at once."""

    def encode(
        self,
        recipe: Recipe,
        decided_by: Fields,
        items: Iterator[tuple[Item, Sequence[str]]],
    ) -> Generator[tuple[Item, EncodedTexts]]:
        """Yield each item with the embeddings of its texts, in any order. `recipe` builds the first
        stage, and `decided_by` are the fields that decide its embeddings.
        """
