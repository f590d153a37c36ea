"""The distinct texts of a collection, in chunks."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bench.datasets.base import Dataset, content_hash, render


@dataclass(frozen=True)
class Chunk:
    """Texts that follow one another, and a digest of them."""

    texts: list[str]
    digest: str


@dataclass(frozen=True)
class Texts:
    """The distinct texts of a collection, in its own order: by their digests, since all of them may
    be more than memory holds. `rows` holds the place of each document's text.
    """

    dataset: Dataset
    doc_ids: Sequence[str]
    rows: Sequence[int]
    digests: Sequence[str]

    @classmethod
    def read(cls, dataset: Dataset) -> Texts:
        """Read every document once."""
        places: dict[str, int] = {}
        doc_ids: list[str] = []
        rows: list[int] = []
        for doc_id, fields in dataset.documents:
            doc_ids.append(doc_id)
            digest = _digest(render(dataset.template, fields))
            rows.append(places.setdefault(digest, len(places)))
        return cls(dataset, doc_ids, rows, list(places))

    def chunks(self, size: int) -> Iterator[Chunk]:
        """Yield the distinct texts, `size` at a time. Reads every document again."""
        place = 0
        texts: list[str] = []
        for number, (_, fields) in enumerate(self.dataset.documents):
            # an earlier row is that of a text that was yielded before
            if self.rows[number] == place:
                texts.append(render(self.dataset.template, fields))
                place += 1
            if len(texts) == size:
                yield self._chunk(texts, place)
                texts = []
        if texts:
            yield self._chunk(texts, place)

    def _chunk(self, texts: list[str], end: int) -> Chunk:
        digests = self.digests[end - len(texts) : end]
        return Chunk(texts, content_hash([digests]))


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
