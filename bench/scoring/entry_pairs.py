"""The entries of a score cache by pair: which entry a pair's score is of, and so what it cost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from bench.scoring.pairs import PairTable

if TYPE_CHECKING:
    from bench.contract.request import Scores
    from bench.scoring.pairs import Keys, Slots


class EntryPairs:
    """The table of pairs, and the list of each entry by its key and length."""

    def __init__(self) -> None:
        self.table = PairTable()
        self._list_keys: list[str] = []
        self._lengths: list[int] = []

    def add(self, pairs: Mapping[str, Keys], scores: Mapping[str, Scores], written: int) -> None:
        """Add entries by the keys of their lists, written at this time."""
        import numpy as np

        if not pairs:
            return
        lengths = [len(keys) for keys in pairs.values()]
        keys = np.concatenate(list(pairs.values()))
        numbers = [self.table.begin_entry(written) for _ in pairs]
        self._list_keys += pairs
        self._lengths += lengths
        entries = np.repeat(np.array(numbers, dtype=np.int32), lengths)
        self.table.add(keys, np.concatenate([scores[key] for key in pairs]), entries)

    def shares(self, slots: Slots) -> Iterator[tuple[str, float]]:
        """Yield the list keys of the entries that these pairs are of, in the order in which they
        come, each with the share of its pairs that is among them.
        """
        import numpy as np

        distinct, first = np.unique(slots, return_index=True)
        in_order = distinct[np.argsort(first)]
        entries, places, counts = np.unique(
            self.table.entries(in_order), return_index=True, return_counts=True
        )
        for number in np.argsort(places).tolist():
            entry = int(entries[number])
            size = self._lengths[entry] - self.table.repeats[entry]
            yield self._list_keys[entry], int(counts[number]) / size
