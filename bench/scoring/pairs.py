"""Scores by pair, millions of them: a key of 16 bytes for a query's and a document's text, and
sorted arrays of numbers in place of an object per pair.

New pairs are sorted by themselves and merged with runs of their size (O'Neil et al., The
log-structured merge-tree, 1996), so that a pair is moved some times and a look-up is a few binary
searches. Parts of the table may be files of merged pairs: those stay on the disk.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable
from hashlib import blake2b
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from bench.contract.request import CandidateList, Scores

    Keys = NDArray[np.uint64]
    """Shape (pairs, 2): the halves of a key."""
    Slots = NDArray[np.int64]
    """Where pairs are in the table; ABSENT for one that is not there."""

KEY_BYTES = 16
ABSENT = -1
SLOT_BITS = 40
ENTRY_BITS = 32
"""Of a slot and of the number of an entry: the bits of its place in its part of the table. The ones
before them number the part, 0 for what is in memory."""


class PairRows(NamedTuple):
    """Of some pairs: where each is, its score, the number of the entry that it is of, and when that
    was written. ABSENT in the place of all but the score where a pair is not known.
    """

    slots: Slots
    scores: Scores
    entries: NDArray[np.int64]
    written: NDArray[np.int64]

    @property
    def is_complete(self) -> bool:
        return bool((self.slots != ABSENT).all())

    def at(self, places: Slots) -> PairRows:
        """Return the rows at some places."""
        slots, scores, entries, written = self
        return PairRows(slots[places], scores[places], entries[places], written[places])


class Part(Protocol):
    """A part of the table that is not in memory. Numbers are its own."""

    def find(self, keys: Keys) -> PairRows:
        """Return the rows of pairs. Raises OSError or ValueError where they cannot be read."""


def pair_keys(request: CandidateList) -> Keys | None:
    """Return the key of each of the request's pairs. None where a document has no text: what a
    service makes of that depends on the others, see `bench.rerankers.remote.client`.
    """
    import numpy as np

    texts = list(request.docs)
    if not all(text.strip() for text in texts):
        return None
    digests = b"".join(_digest(text, b"document") for text in texts)
    documents = np.frombuffer(digests, dtype=np.uint64).reshape(-1, 2)
    # sums of digests, each half modulo 2**64: as well spread as a digest of both texts
    return documents + np.frombuffer(query_digest(request.query), dtype=np.uint64)


def query_digest(query: str) -> bytes:
    """Return what the keys of a query's pairs have in common."""
    return _digest(query, b"query")


def _digest(text: str, kind: bytes) -> bytes:
    data = text.encode("utf-8", "surrogatepass")
    return blake2b(data, digest_size=KEY_BYTES, person=kind).digest()


class _Run(NamedTuple):
    """Keys in order, each once, and the slot of each."""

    high: NDArray[np.uint64]
    low: NDArray[np.uint64]
    slots: NDArray[np.int32]


class PairTable:
    """The score of each pair, and the entry of the cache that it is of. Of two scores of a pair
    the one of the entry written later counts, and of one entry, or of two of the same time, the
    first. In memory a pair takes 32 bytes. `on_loss` gets the number of a part that can be read no
    more, and why, and may add what it had.
    """

    def __init__(self, on_loss: Callable[[int, Exception], None] | None = None) -> None:
        self._scores, self._entries = array("d"), array("i")
        self._written = array("q")
        self.repeats: Counter[int] = Counter()
        """Entry -> how many of its pairs it has again."""
        self._runs: list[_Run] = []
        self._waiting: list[Keys] = []
        self._parts: dict[int, Part] = {}
        self._on_loss = on_loss

    def __len__(self) -> int:
        """Return how many pairs are in memory."""
        return len(self._scores)

    def add_part(self, number: int, part: Part) -> None:
        """Add a part under a number of its own, from 1."""
        self._parts[number] = part

    def drop_part(self, number: int) -> None:
        del self._parts[number]

    def begin_entry(self, written: int) -> int:
        """Return the number of a new entry, which was written at this time."""
        self._written.append(written)
        return len(self._written) - 1

    def add(self, keys: Keys, scores: Scores, entries: NDArray[np.int32]) -> None:
        """Add the pairs of some entries."""
        import numpy as np

        self._waiting.append(keys)
        self._scores.frombytes(np.ascontiguousarray(scores, dtype=np.float64).tobytes())
        self._entries.frombytes(np.ascontiguousarray(entries, dtype=np.int32).tobytes())

    def find(self, keys: Keys) -> PairRows:
        """Return the row of each pair."""
        rows = no_rows(len(keys))
        searched: set[int] = set()
        while pending := [number for number in self._parts if number not in searched]:
            number = pending[0]
            searched.add(number)
            try:
                own = self._parts[number].find(keys)
            except (OSError, ValueError) as error:
                self.drop_part(number)
                if self._on_loss is not None:
                    self._on_loss(number, error)
                continue
            rows = _newer(rows, _numbered(own, number))
        # last: what a lost part had may be in memory by now
        return _newer(rows, self._in_memory(keys))

    def _in_memory(self, keys: Keys) -> PairRows:
        self._sort_what_waits()
        rows = no_rows(len(keys))
        for run in self._runs:
            at = places_of(run.high, run.low, keys)
            rows = _newer(rows, self._rows(run.slots, at))
        return rows

    def _rows(self, slots: NDArray[np.int32], at: Slots) -> PairRows:
        """Return the rows at these places of a run."""
        import numpy as np

        places = np.flatnonzero(at != ABSENT)
        rows = no_rows(len(at))
        own = slots[at[places]]
        entries = np.frombuffer(self._entries, dtype=np.int32)[own]
        rows.slots[places] = own
        rows.scores[places] = np.frombuffer(self._scores, dtype=np.float64)[own]
        rows.entries[places] = entries
        rows.written[places] = np.frombuffer(self._written, dtype=np.int64)[entries]
        return rows

    def _sort_what_waits(self) -> None:
        import numpy as np

        if not self._waiting:
            return
        keys = np.concatenate(self._waiting)
        self._waiting = []
        first = len(self._scores) - len(keys)
        slots = np.arange(first, first + len(keys), dtype=np.int32)
        self._runs.append(self._sorted(keys[:, 0], keys[:, 1], slots))
        while len(self._runs) > 1 and len(self._runs[-2].slots) <= 2 * len(self._runs[-1].slots):
            newer, older = self._runs.pop(), self._runs.pop()
            high = np.concatenate((older.high, newer.high))
            low = np.concatenate((older.low, newer.low))
            slots = np.concatenate((older.slots, newer.slots))
            self._runs.append(self._sorted(high, low, slots))

    def _sorted(
        self, high: NDArray[np.uint64], low: NDArray[np.uint64], slots: NDArray[np.int32]
    ) -> _Run:
        """Return keys in order, without those that another one of the same pair replaces."""
        import numpy as np

        entries = np.frombuffer(self._entries, dtype=np.int32)
        written = np.frombuffer(self._written, dtype=np.int64)

        def ranks(places: Slots) -> tuple[Slots, Slots]:
            return slots[places].astype(np.int64), -written[entries[slots[places]]]

        order, is_again = key_order(high, low, ranks)
        slots = slots[order]
        own = entries[slots]
        self.repeats.update(own[1:][is_again[1:] & (own[1:] == own[:-1])].tolist())
        places = order[~is_again]
        return _Run(high[places], low[places], slots[~is_again])


def no_rows(count: int) -> PairRows:
    """Return rows of pairs of which none is known."""
    import numpy as np

    absent = [np.full(count, ABSENT, dtype=np.int64) for _ in range(3)]
    return PairRows(absent[0], np.full(count, np.nan), absent[1], absent[2])


def key_order(
    high: NDArray[np.uint64],
    low: NDArray[np.uint64],
    ranks: Callable[[Slots], tuple[Slots, Slots]],
) -> tuple[Slots, NDArray[np.bool_]]:
    """Return the order of keys, and of each in that order whether it is the one before it again.
    Of equal keys the one of the lowest ranks comes first, by the last of its ranks before the
    others.
    """
    # sorting by one half is fast, and the rest is done where halves are equal: in few places
    import numpy as np

    order = np.argsort(high, kind="stable")
    halves = high[order]
    equal = halves[1:] == halves[:-1]
    is_again = np.zeros(len(order), dtype=bool)
    if not equal.any():
        return order, is_again
    touched = np.flatnonzero(np.append(equal, False) | np.append(False, equal))
    own = order[touched]
    inner = np.lexsort((*ranks(own), low[own], high[own]))
    order[touched] = own[inner]
    again = np.flatnonzero(equal) + 1
    is_again[again] = low[order[again]] == low[order[again - 1]]
    return order, is_again


def places_of(high: NDArray[np.uint64], low: NDArray[np.uint64], keys: Keys) -> Slots:
    """Return the place of each key among others that are in order, ABSENT where it is not."""
    import numpy as np

    places = np.searchsorted(high, keys[:, 0])
    at = np.full(len(keys), ABSENT, dtype=np.int64)
    open_keys = np.arange(len(keys))
    while len(open_keys):
        open_keys = open_keys[places[open_keys] < len(high)]
        own = places[open_keys]
        same_half = high[own] == keys[open_keys, 0]
        open_keys, own = open_keys[same_half], own[same_half]
        is_it = low[own] == keys[open_keys, 1]
        at[open_keys[is_it]] = own[is_it]
        # two keys may share a half: the other one comes next
        open_keys = open_keys[~is_it]
        places[open_keys] += 1
    return at


def _numbered(rows: PairRows, number: int) -> PairRows:
    """Return the rows of a part with the numbers of the table."""
    import numpy as np

    is_known = rows.slots != ABSENT
    slots = np.where(is_known, rows.slots + (number << SLOT_BITS), ABSENT)
    entries = np.where(is_known, rows.entries + (number << ENTRY_BITS), ABSENT)
    return rows._replace(slots=slots, entries=entries)


def _newer(rows: PairRows, others: PairRows) -> PairRows:
    """Return, per pair, the row that counts."""
    import numpy as np

    is_first = (others.written == rows.written) & (others.slots < rows.slots)
    is_other = (others.written > rows.written) | is_first
    return PairRows(*(np.where(is_other, *columns) for columns in zip(others, rows, strict=True)))
