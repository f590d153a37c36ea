"""The entries of a score cache by pair: which entry a pair's score is of, and so what it cost."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from bench.contract.scored import Amounts
from bench.scoring.pairs import ENTRY_BITS, SLOT_BITS, PairRows, PairTable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from bench.contract.request import Scores
    from bench.scoring.merged_pairs import MergedPairs
    from bench.scoring.pairs import Keys, Slots


class Cost(NamedTuple):
    """Of an entry: its share of what is known of its chunk alone, and what it cost by itself, where
    that is known.
    """

    share: Amounts
    own: Amounts


NO_COST = Cost({}, {})


class EntryPairs:
    """The table of pairs, and the length and the cost of each entry."""

    def __init__(self, on_loss: Callable[[MergedPairs, Exception], None] | None = None) -> None:
        self.table = PairTable(self._lose)
        self._lengths: list[int] = []
        self._costs: list[Cost] = []
        self._files: dict[int, MergedPairs] = {}
        """By the number of their part of the table, lost ones too: what was taken from them has a
        cost.
        """
        self._next_file = 1
        self._asked = Marks()
        self._on_loss = on_loss

    def add(
        self,
        pairs: Mapping[str, Keys],
        scores: Mapping[str, Scores],
        written: int,
        costs: Mapping[str, Cost],
    ) -> None:
        """Add entries by the keys of their lists, written at this time."""
        import numpy as np

        if not pairs:
            return
        lengths = [len(keys) for keys in pairs.values()]
        keys = np.concatenate(list(pairs.values()))
        numbers = [self.table.begin_entry(written) for _ in pairs]
        self._lengths += lengths
        self._costs += [costs.get(key, NO_COST) for key in pairs]
        entries = np.repeat(np.array(numbers, dtype=np.int32), lengths)
        self.table.add(keys, np.concatenate([scores[key] for key in pairs]), entries)

    def add_file(self, file: MergedPairs) -> None:
        """Add the entries of a file of merged pairs."""
        number = self._next_file
        self._next_file += 1
        self._files[number] = file
        self.table.add_part(number, file)

    def drop_file(self, file: MergedPairs) -> None:
        """Forget a file of which nothing was used."""
        (number,) = [number for number, own in self._files.items() if own is file]
        del self._files[number]
        self.table.drop_part(number)

    def asked_before(self, rows: PairRows) -> PairRows:
        """Return the different ones of known pairs that this was asked of before; from now on all
        of them were.
        """
        import numpy as np

        _, first = np.unique(rows.slots, return_index=True)
        again = first[~self._asked.add(rows.slots[first])]
        return rows.at(again)

    def cost(self, entry: int) -> Cost:
        """Return what an entry cost."""
        number = entry >> ENTRY_BITS
        if not number:
            return self._costs[entry]
        return Cost(*self._files[number].cost(_place(entry, ENTRY_BITS)))

    def size(self, entry: int) -> int:
        """Return how many different pairs an entry has."""
        number = entry >> ENTRY_BITS
        if not number:
            return self._lengths[entry] - self.table.repeats[entry]
        return self._files[number].size(_place(entry, ENTRY_BITS))

    def _lose(self, number: int, error: Exception) -> None:
        if self._on_loss is not None:
            self._on_loss(self._files[number], error)


class PairCosts:
    """What pairs cost when they were scored, each once, however often they are added: of an entry
    of which some are not among them, its share by the number of pairs.
    """

    def __init__(self, entries: EntryPairs) -> None:
        self._entries = entries
        self._seen = Marks()
        self._counts: dict[int, int] = {}

    def add(self, rows: PairRows) -> None:
        """Add known pairs."""
        import numpy as np

        _, first = np.unique(rows.slots, return_index=True)
        # entries in the order in which they come, in which their costs are added up
        first = np.sort(first)
        new = first[self._seen.add(rows.slots[first])]
        for entry, count in counted_entries(rows.entries[new]):
            self._counts[entry] = self._counts.get(entry, 0) + count

    def total(self) -> Amounts:
        """Return the sum."""
        total: Amounts = {}
        for entry, count in self._counts.items():
            share = count / self._entries.size(entry)
            for part in self._entries.cost(entry):
                add_amounts(total, part, share)
        return total

    def own_of(self, rows: PairRows) -> Amounts:
        """Return what requests cost by themselves, of the entries of these pairs; empty where it is
        known of whole chunks only.
        """
        import numpy as np

        total: Amounts = {}
        _, first = np.unique(rows.slots, return_index=True)
        for entry, count in counted_entries(rows.entries[np.sort(first)]):
            own = self._entries.cost(entry).own
            if own:
                add_amounts(total, own, count / self._entries.size(entry))
        return total


class Marks:
    """A set of slots: a bit for each."""

    def __init__(self) -> None:
        self._bits: dict[int, NDArray[np.uint8]] = {}

    def add(self, slots: Slots) -> NDArray[np.bool_]:
        """Add different slots; return of each whether it was not there."""
        import numpy as np

        numbers = slots >> SLOT_BITS
        is_new = np.zeros(len(slots), dtype=bool)
        for number in np.unique(numbers).tolist():
            of_part = np.flatnonzero(numbers == number)
            places = slots[of_part] - (number << SLOT_BITS)
            bits = self._room(number, int(places.max()))
            bit = np.left_shift(1, places & 7).astype(np.uint8)
            is_new[of_part] = (bits[places >> 3] & bit) == 0
            np.bitwise_or.at(bits, places >> 3, bit)
        return is_new

    def _room(self, number: int, place: int) -> NDArray[np.uint8]:
        import numpy as np

        bits = self._bits.get(number, np.zeros(0, dtype=np.uint8))
        if place >> 3 >= len(bits):
            longer = np.zeros(max(2 * len(bits), (place >> 3) + 1), dtype=np.uint8)
            longer[: len(bits)] = bits
            self._bits[number] = bits = longer
        return bits


def counted_entries(entries: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Return the different entries in the order in which they come, each with its count."""
    import numpy as np

    distinct, first, counts = np.unique(entries, return_index=True, return_counts=True)
    order = np.argsort(first)
    return list(zip(distinct[order].tolist(), counts[order].tolist(), strict=True))


def add_amounts(total: Amounts, amounts: Amounts, share: float = 1.0) -> None:
    """Add a share of some amounts to a total."""
    for name, value in amounts.items():
        total[name] = total.get(name, 0.0) + share * value


def _place(number: int, bits: int) -> int:
    return number & ((1 << bits) - 1)
