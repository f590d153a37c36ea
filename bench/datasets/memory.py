"""Documents held in memory: what a folder of files becomes, and what an outsider's loader may
return.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from bench.core.errors import DataError


class MemoryDocuments:
    """The Documents interface over {doc_id: fields}, in the order of the mapping."""

    def __init__(self, rows: Mapping[str, Mapping[str, str]]) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def ids(self) -> Iterator[str]:
        return iter(self._rows)

    def get(self, doc_ids: Sequence[str]) -> list[Mapping[str, str]]:
        try:
            return [self._rows[doc_id] for doc_id in doc_ids]
        except KeyError as error:
            raise DataError(f"document '{error.args[0]}' is not in the collection") from error

    def __iter__(self) -> Iterator[tuple[str, Mapping[str, str]]]:
        return iter(self._rows.items())


class SampledDocuments(MemoryDocuments):
    """The first documents of a collection that a check did not read whole. Its length is that of
    the collection.
    """

    def __init__(self, rows: Mapping[str, Mapping[str, str]], total: int) -> None:
        super().__init__(rows)
        self.total = total

    def __len__(self) -> int:
        return self.total
