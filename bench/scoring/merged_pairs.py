"""The pairs of many chunk files in one file, by key: opening it reads a directory, and a look-up
the few places at which its keys can be.

Rows are in buckets by the first bits of their keys. Keys are digests, so that buckets are about as
large as each other. A bucket's checksum is compared whenever it is read, those of everything else
when the file is opened: every bit is covered. The chunk files stay as they are, and decide: what
this file holds of one that has changed or is gone counts no more, and without this file they are
read themselves.

Sections, in this order: rows, costs, starts and checksums of buckets, entries, chunks, the foot.
"""

from __future__ import annotations

import json
import stat
import struct
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from zlib import crc32

from bench.contract.scored import Amounts
from bench.scoring.chunk_file import DamagedFile
from bench.scoring.pairs import ABSENT, PairRows, no_rows, places_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from bench.scoring.pairs import Keys

ROW = [("high", "<u8"), ("low", "<u8"), ("score", "<f8"), ("entry", "<i4")]
ROW_BYTES = 28
ENTRY = [("chunk", "<i4"), ("size", "<i4")]
"""Of a list: the number of its chunk, and of its different pairs."""
ENTRY_BYTES = 8
CHUNK = [
    ("name", "S32"),
    ("bytes", "<i8"),
    ("changed", "<i8"),
    ("written", "<i8"),
    ("costs_end", "<i8"),
]
"""Of a chunk file: its name, size and time of change as it was merged, when it was written, and
where what it cost ends in its section.
"""
CHUNK_BYTES = 64
FOOT = struct.Struct("<8sQQQQQIIIII")
"""The mark, bits of a bucket's number, counts of rows, entries and chunks, bytes of the costs,
checksums of costs, starts, checksums, entries and chunks."""
MARK = b"pairs\r\n1"
SUM = struct.Struct("<I")


class Stamp(NamedTuple):
    """By which a chunk file is known to be as it was: its size, and its time of change in
    nanoseconds since 1970.
    """

    size: int
    changed: int


class MergedPairs:
    """An open file of merged pairs. Raises DamagedFile for bytes that were not written here, and
    OSError where they cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        about = path.stat()
        if not stat.S_ISREG(about.st_mode):
            raise DamagedFile("no file")
        self._file = path.open("rb", buffering=0)
        weakref.finalize(self, self._file.close)
        self._read_directory(about.st_size)

    def _read_directory(self, size: int) -> None:
        import numpy as np

        length = FOOT.size + SUM.size
        foot = self._bytes(max(0, size - length), length)
        if SUM.unpack(foot[FOOT.size :])[0] != crc32(foot[: FOOT.size]):
            raise DamagedFile("the foot is damaged")
        mark, bits, pairs, entries, chunks, costs, *sums = FOOT.unpack(foot[: FOOT.size])
        lengths = [
            costs,
            4 * (2**bits + 1),
            4 * 2**bits,
            ENTRY_BYTES * entries,
            CHUNK_BYTES * chunks,
        ]
        if mark != MARK or size != ROW_BYTES * pairs + sum(lengths) + length:
            raise DamagedFile("the length is wrong")
        place = ROW_BYTES * pairs
        sections: list[bytes] = []
        for count, checksum in zip(lengths, sums, strict=True):
            section = self._bytes(place, count)
            if crc32(section) != checksum:
                raise DamagedFile("a section is damaged")
            sections.append(section)
            place += count
        self.pairs = pairs
        self._shift = np.uint64(64 - bits)
        self._costs = sections[0]
        self._starts = np.frombuffer(sections[1], dtype="<u4")
        self._sums = np.frombuffer(sections[2], dtype="<u4")
        self.entries = np.frombuffer(sections[3], dtype=np.dtype(ENTRY))
        self.chunks = np.frombuffer(sections[4], dtype=np.dtype(CHUNK))
        self.is_there = np.ones(chunks, dtype=bool)
        """Whether the file of each chunk is as it was."""
        self._counts = self.is_there
        self._first = np.searchsorted(self.entries["chunk"], np.arange(len(self.chunks)))

    def close(self) -> None:
        self._file.close()

    def hold_to(self, stamps: Mapping[str, Stamp], since: int) -> set[str]:
        """Let the chunks count whose files are as they were, and that were written at this time or
        later; return the names of all of the former.
        """
        import numpy as np

        there: list[bool] = []
        names: set[str] = set()
        for encoded, size, changed, *_ in self.chunks.tolist():
            name = encoded.decode()
            there.append(stamps.get(name) == Stamp(size, changed))
            if there[-1]:
                names.add(name)
        self.is_there = np.array(there, dtype=bool)
        self._counts = self.is_there & (self.chunks["written"] >= since)
        return names

    def find(self, keys: Keys) -> PairRows:
        """Return the rows of pairs."""
        import numpy as np

        rows, starts = self._near(keys)
        at = places_of(rows["high"], rows["low"], keys)
        places = np.flatnonzero(at != ABSENT)
        entries = rows["entry"][at[places]]
        chunks = self.entries["chunk"][entries]
        counts = self._counts[chunks]
        places, entries, chunks = places[counts], entries[counts], chunks[counts]
        known = no_rows(len(keys))
        known.slots[places] = starts[at[places]]
        known.scores[places] = rows["score"][at[places]]
        known.entries[places] = entries
        known.written[places] = self.chunks["written"][chunks]
        return known

    def size(self, entry: int) -> int:
        """Return how many different pairs a list has."""
        return int(self.entries["size"][entry])

    def cost(self, entry: int) -> tuple[Amounts, Amounts]:
        """Return the share of a list in what is known of its chunk alone, and what it cost by
        itself.
        """
        chunk = int(self.entries["chunk"][entry])
        costs = json.loads(self.costs_of(chunk))
        return costs["share"], costs["own"].get(str(entry - int(self._first[chunk])), {})

    def costs_of(self, chunk: int) -> bytes:
        """Return what a chunk cost, in JSON."""
        start = 0
        if chunk:
            start = int(self.chunks["costs_end"][chunk - 1])
        return self._costs[start : int(self.chunks["costs_end"][chunk])]

    def rows_between(self, low: int, high: int) -> NDArray[Any]:
        """Return the rows of the keys whose first half is from `low` up to `high`."""
        import numpy as np

        shift = int(self._shift)
        buckets = np.arange(low >> shift, ((high - 1) >> shift) + 1)
        rows, _ = self._of_buckets(buckets)
        return between(rows, low, high)

    def _near(self, keys: Keys) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """Return the rows that share a bucket with a key, and the place of each in the file."""
        import numpy as np

        return self._of_buckets(np.unique(keys[:, 0] >> self._shift).astype(np.int64))

    def _of_buckets(self, buckets: NDArray[np.int64]) -> tuple[NDArray[Any], NDArray[np.int64]]:
        import numpy as np

        starts = self._starts[buckets].astype(np.int64)
        lengths = self._starts[buckets + 1] - starts
        parts: list[bytes] = []
        wanted = zip(starts.tolist(), lengths.tolist(), self._sums[buckets].tolist(), strict=True)
        for start, length, checksum in wanted:
            part = self._bytes(ROW_BYTES * start, ROW_BYTES * length)
            if crc32(part) != checksum:
                raise DamagedFile("a bucket is damaged")
            parts.append(part)
        rows = np.frombuffer(b"".join(parts), dtype=np.dtype(ROW))
        firsts = np.cumsum(lengths) - lengths
        return rows, np.repeat(starts - firsts, lengths) + np.arange(len(rows))

    def _bytes(self, place: int, length: int) -> bytes:
        self._file.seek(place)
        data = self._file.read(length)
        while len(data) < length:
            more = self._file.read(length - len(data))
            if not more:
                raise DamagedFile("the file is short")
            data += more
        return data


def between(rows: NDArray[Any], low: int, high: int) -> NDArray[Any]:
    """Return the rows, which are in order, whose first half is from `low` up to `high`."""
    import numpy as np

    start = int(np.searchsorted(rows["high"], np.uint64(low)))
    end = int(np.searchsorted(rows["high"], np.uint64(high - 1), side="right"))
    return rows[start:end]
