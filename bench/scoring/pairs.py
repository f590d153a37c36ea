"""Scores by pair, millions of them: a key of 16 bytes for a query's and a document's text, and
sorted arrays of numbers in place of an object per pair.

New pairs are sorted by themselves and merged with runs of their size (O'Neil et al., The
log-structured merge-tree, 1996), so that a pair is moved some times and a look-up is a few binary
searches.
"""

from __future__ import annotations

from array import array
from collections import Counter
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from bench.contract.request import CandidateList, Scores

    Keys = NDArray[np.uint64]
    """Shape (pairs, 2): the halves of a key."""
    Slots = NDArray[np.integer[Any]]
    """Where the pairs of a request are in the table; -1 for one that is not there."""

KEY_BYTES = 16
ABSENT = -1


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
    first. 32 bytes a pair.
    """

    def __init__(self) -> None:
        self._scores, self._entries = array("d"), array("i")
        self._counted = bytearray()
        self._written = array("q")
        self.repeats: Counter[int] = Counter()
        """Entry -> how many of its pairs it has again."""
        self._runs: list[_Run] = []
        self._waiting: list[Keys] = []

    def __len__(self) -> int:
        return len(self._scores)

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
        self._counted.extend(bytes(len(keys)))

    def find(self, keys: Keys) -> Slots:
        """Return the slot of each pair, ABSENT for one that is not known."""
        import numpy as np

        self._sort_what_waits()
        slots: Slots = np.full(len(keys), ABSENT, dtype=np.int64)
        for run in self._runs:
            slots = self._better(slots, _found(run, keys))
        return slots

    def scores(self, slots: Slots) -> Scores:
        import numpy as np

        scores: Scores = np.frombuffer(self._scores, dtype=np.float64)[slots]
        return scores

    def entries(self, slots: Slots) -> NDArray[np.int32]:
        import numpy as np

        entries: NDArray[np.int32] = np.frombuffer(self._entries, dtype=np.int32)[slots]
        return entries

    def count_once(self, slots: Slots) -> Slots:
        """Return those of the slots that were counted before, each once; from now on all are."""
        import numpy as np

        counted = np.frombuffer(self._counted, dtype=np.uint8)
        before = np.unique(slots[counted[slots] != 0])
        counted[slots] = 1
        return before

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
        # sorting by one half is fast, and the rest is done where halves are equal: in few places
        import numpy as np

        order = np.argsort(high, kind="stable")
        high, low, slots = high[order], low[order], slots[order]
        equal = high[1:] == high[:-1]
        if not equal.any():
            return _Run(high, low, slots)
        touched = np.flatnonzero(np.append(equal, False) | np.append(False, equal))
        written = np.frombuffer(self._written, dtype=np.int64)[self.entries(slots[touched])]
        inner = np.lexsort((slots[touched], -written, low[touched], high[touched]))
        low[touched], slots[touched] = low[touched][inner], slots[touched][inner]
        is_again = equal & (low[1:] == low[:-1])
        entries = self.entries(slots)
        self.repeats.update(entries[1:][is_again & (entries[1:] == entries[:-1])].tolist())
        is_first = np.append(True, ~is_again)
        return _Run(high[is_first], low[is_first], slots[is_first])

    def _better(self, slots: Slots, others: Slots) -> Slots:
        """Return, per pair, the slot that counts."""
        import numpy as np

        written = np.frombuffer(self._written, dtype=np.int64)
        both = (slots != ABSENT) & (others != ABSENT)
        chosen = np.where(others == ABSENT, slots, others)
        times, other_times = written[self.entries(slots[both])], written[self.entries(others[both])]
        is_older = (other_times < times) | ((other_times == times) & (others[both] > slots[both]))
        chosen[np.flatnonzero(both)[is_older]] = slots[both][is_older]
        return chosen


def _found(run: _Run, keys: Keys) -> Slots:
    """Return the slot of each key in one run, ABSENT where it has none."""
    import numpy as np

    places = np.searchsorted(run.high, keys[:, 0])
    slots = np.full(len(keys), ABSENT, dtype=np.int64)
    open_keys = np.arange(len(keys))
    while len(open_keys):
        within = places[open_keys] < len(run.high)
        open_keys = open_keys[within]
        at = places[open_keys]
        same_half = run.high[at] == keys[open_keys, 0]
        open_keys, at = open_keys[same_half], at[same_half]
        is_it = run.low[at] == keys[open_keys, 1]
        slots[open_keys[is_it]] = run.slots[at[is_it]]
        # two keys may share a half: the other one comes next
        open_keys = open_keys[~is_it]
        places[open_keys] += 1
    return slots
