"""What the index of a first stage took to build and takes on disk, apart from the latency of a
query.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, NotRequired, TypedDict

Entries = Literal["vectors", "postings"]


class IndexFields(TypedDict):
    """The facts of an index in JSON."""

    kind: Entries
    documents: int
    entries: int
    bytes: int
    seconds: float | None
    opened: bool
    name: NotRequired[str]
    recall: NotRequired[float]
    parts: NotRequired[list[IndexFields]]


@dataclass(frozen=True)
class IndexFacts:
    """The index of a collection's documents. `entries` counts vectors of texts that differ, or
    postings: pairs of a document and a term.
    """

    kind: Entries
    documents: int
    entries: int
    bytes: int
    seconds: float | None
    """What building took, now or when it was built; None for one from before that was kept."""
    opened: bool
    """Whether it was in the cache already."""
    name: str = ""
    """What tables call it, where it is a part of a first stage."""
    recall: float | None = None
    """Of an approximate search: the mean share of what the exact search finds, at the depth and on
    the queries of the run.
    """
    parts: tuple[IndexFacts, ...] = ()
    """The indexes that it is made of."""

    @property
    def bytes_per_document(self) -> float | None:
        """Return bytes on disk per document of the collection; None where there is none."""
        if not self.documents:
            return None
        return self.bytes / self.documents

    def to_dict(self) -> IndexFields:
        """Return the facts as a record holds them."""
        fields: IndexFields = {
            "kind": self.kind,
            "documents": self.documents,
            "entries": self.entries,
            "bytes": self.bytes,
            "seconds": self.seconds,
            "opened": self.opened,
        }
        if self.name:
            fields["name"] = self.name
        if self.recall is not None:
            fields["recall"] = self.recall
        if self.parts:
            fields["parts"] = [part.to_dict() for part in self.parts]
        return fields

    @classmethod
    def read(cls, fields: IndexFields) -> IndexFacts:
        """Return the facts that a record holds."""
        return cls(
            kind=fields["kind"],
            documents=fields["documents"],
            entries=fields["entries"],
            bytes=fields["bytes"],
            seconds=fields["seconds"],
            opened=fields["opened"],
            name=fields.get("name", ""),
            recall=fields.get("recall"),
            parts=tuple(cls.read(part) for part in fields.get("parts", [])),
        )


def together(parts: Sequence[tuple[str, IndexFacts | None]]) -> IndexFacts | None:
    """Return the facts of a first stage that is made of others, by their names; None where none of
    them has an index. Sizes and times are sums.
    """
    named = [replace(facts, name=name) for name, facts in parts if facts is not None]
    if not named:
        return None
    seconds: float | None = 0.0
    for facts in named:
        if seconds is None or facts.seconds is None:
            seconds = None
        else:
            seconds += facts.seconds
    return IndexFacts(
        kind=named[0].kind,
        documents=max(facts.documents for facts in named),
        entries=sum(facts.entries for facts in named),
        bytes=sum(facts.bytes for facts in named),
        seconds=seconds,
        opened=all(facts.opened for facts in named),
        parts=tuple(named),
    )
