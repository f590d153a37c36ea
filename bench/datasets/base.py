"""What a dataset is: documents, queries, graded judgments and an identity."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypedDict

from bench.core.errors import DataError
from bench.core.note import Note
from bench.datasets.provenance import JudgeFacts

Qrels = Mapping[str, Mapping[str, int]]


class Documents(Protocol):
    """The documents of a collection, in memory or on disk."""

    def __len__(self) -> int: ...

    def ids(self) -> Iterator[str]:
        """Yield every document id, in the collection's order."""

    def get(self, doc_ids: Sequence[str]) -> list[Mapping[str, str]]:
        """Return the fields (title, text, ...) of some documents, in the order of the ids.

        Raises DataError naming the first missing id.
        """

    def __iter__(self) -> Iterator[tuple[str, Mapping[str, str]]]:
        """Yield every (doc_id, fields), in the collection's order."""


Facts = Mapping[str, str | int]
"""Hashes, counts and names by what they are called in a record."""


class Extras(TypedDict, total=False):
    """What only some collections bring along."""

    scoreddocs: Callable[[], Iterable[tuple[str, str, float]]]
    """Gives (query_id, doc_id, score) of the official candidates."""
    numbers: Mapping[str, Mapping[str, float]]
    """Field -> document id -> number: fields that are no text, and no part of a rendered one."""
    query_fields: Mapping[str, Mapping[str, str]]
    """Query id -> field -> value, such as a language or a type: what queries are sliced by."""


class NoDocuments:
    """The Documents interface of a collection whose texts are not at hand: enough for rows that
    only order ids. `problem` is the message for whoever wants a text.
    """

    def __init__(self, problem: str) -> None:
        self.problem = problem

    def __len__(self) -> int:
        return 0

    def ids(self) -> Iterator[str]:
        return iter(())

    def get(self, doc_ids: Sequence[str]) -> list[Mapping[str, str]]:
        if doc_ids:
            raise DataError(self.problem)
        return []

    def __iter__(self) -> Iterator[tuple[str, Mapping[str, str]]]:
        raise DataError(self.problem)


@dataclass(frozen=True)
class Dataset:
    """One collection. `identity` holds what a comparison must agree on: id, version, content hashes
    and how each was made.

    `min_relevance` is the smallest grade that counts as relevant in binary measures. `template`
    renders a document's fields into the text that rerankers and first stages see. `warnings` are
    counted facts the reader of a report should know (blank documents, ...). `relevant_only` says
    that the judgments list relevant documents only. `skip_own` says that a document with a query's
    own id is no candidate of it: None has the collection's texts decide. `has_texts` is false where
    the documents are known by their ids alone, from judgments and run files. `families` are those
    that it shares documents or queries with. `documents_read` is
    how many documents a check has read, None where it has read all. `is_unjudged` says that nobody
    has judged yet: every query has judgments, and they are empty. `judge` is who made them, where
    it was a model. `is_measured` is false where its queries are trained on.
    """

    id: str
    documents: Documents
    queries: Mapping[str, str]
    qrels: Qrels
    identity: Facts
    min_relevance: int = 1
    template: str = "{title} {text}"
    warnings: tuple[Note, ...] = ()
    extras: Extras = field(default_factory=Extras)
    relevant_only: bool = False
    skip_own: bool | None = None
    has_texts: bool = True
    documents_read: int | None = None
    is_unjudged: bool = False
    is_measured: bool = True
    judge: JudgeFacts | None = None
    families: tuple[str, ...] = ()

    @property
    def judged_queries(self) -> dict[str, str]:
        """Return the text of each query that has judgments, by id."""
        return {query_id: text for query_id, text in self.queries.items() if query_id in self.qrels}

    def texts(self, doc_ids: Sequence[str]) -> list[str]:
        """Return the rendered text of some documents, in the order of the ids."""
        return [render(self.template, fields) for fields in self.documents.get(doc_ids)]

    def known(self, doc_ids: Iterable[str]) -> Iterator[str]:
        """Yield those of the ids that are in the collection: judgments may name others."""
        for doc_id in doc_ids:
            try:
                self.documents.get([doc_id])
            except DataError:
                continue
            yield doc_id

    def numbers(self, doc_ids: Sequence[str], name: str) -> list[float]:
        """Return a numeric field of some documents, such as a price; NaN where a document has
        none.
        """
        known = self.extras.get("numbers", {}).get(name, {})
        numbers = [known.get(doc_id, math.nan) for doc_id in doc_ids]
        without = [place for place, number in enumerate(numbers) if math.isnan(number)]
        documents = self.documents.get([doc_ids[place] for place in without])
        for place, fields in zip(without, documents, strict=True):
            numbers[place] = as_number(fields.get(name, ""))
        return numbers


def as_number(text: str) -> float:
    """Return the finite number that a text is; NaN for any other text."""
    try:
        number = float(text)
    except ValueError:
        return math.nan
    return number if math.isfinite(number) else math.nan


class _Blank(dict[str, str]):
    def __missing__(self, key: str) -> str:
        return ""


def render(template: str, fields: Mapping[str, str]) -> str:
    """Return the text of a document by a template such as "{title} {text}".

    A field that the document lacks is blank; outer white space is cut.
    """
    return template.format_map(_Blank(fields)).strip()


def content_hash(rows: Iterable[Sequence[str]]) -> str:
    """Return the SHA-256 over rows of strings, in 16 hex digits.

    Each string has its length before it, so that no two different tables give the same bytes.
    """
    digest = hashlib.sha256()
    for row in rows:
        parts: list[bytes] = []
        for cell in row:
            data = cell.encode("utf-8", "surrogatepass")
            parts.append(len(data).to_bytes(8, "big"))
            parts.append(data)
        digest.update(b"".join(parts) + b"\xff")
    return digest.hexdigest()[:16]
