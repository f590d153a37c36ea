"""Writes a file of merged pairs: of chunks that were read, and of smaller files of the same kind.

Keys are taken in ranges, so that memory does not grow with the pairs.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from zlib import crc32

from bench.core.atomic import whole_file
from bench.scoring.chunk_file import Chunk
from bench.scoring.merged_pairs import (
    CHUNK,
    ENTRY,
    FOOT,
    MARK,
    ROW,
    ROW_BYTES,
    SUM,
    MergedPairs,
    Stamp,
    between,
)
from bench.scoring.pairs import key_order

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from bench.scoring.pairs import Slots

ROWS_A_BUCKET = 32
ROWS_A_RANGE = 2**19
LONGEST_NAME = 32
MOST_PAIRS = 2**31


class Source(NamedTuple):
    """Rows, with tables of their entries and chunks, and what each chunk cost."""

    rows_between: Callable[[int, int], NDArray[Any]]
    """Returns the rows of the keys whose first half is from a number up to another."""
    pairs: int
    entries: NDArray[Any]
    chunks: NDArray[Any]
    costs: Sequence[bytes]
    is_there: NDArray[np.bool_]
    """Of each chunk whether it counts."""


class Batch:
    """Chunks that are to be merged."""

    def __init__(self) -> None:
        self.pairs = 0
        self.chunks: list[tuple[str, Stamp, int, Chunk]] = []

    def add(self, name: str, stamp: Stamp, written: int, chunk: Chunk) -> None:
        """Add a chunk by the name of its file."""
        self.chunks.append((name, stamp, written, chunk))
        self.pairs += sum(map(len, chunk.scores.values()))

    def source(self) -> Source:
        import numpy as np

        lengths: list[int] = []
        owners: list[int] = []
        keys: list[NDArray[np.uint64]] = []
        scores: list[NDArray[np.float64]] = []
        table: list[tuple[bytes, int, int, int, int]] = []
        costs: list[bytes] = []
        for number, (name, stamp, written, chunk) in enumerate(self.chunks):
            own: dict[str, object] = {}
            for place, (key, values) in enumerate(chunk.scores.items()):
                lengths.append(len(values))
                owners.append(number)
                keys.append(chunk.pairs[key])
                scores.append(values)
                if key in chunk.own:
                    own[str(place)] = chunk.own[key]
            table.append((name.encode(), stamp.size, stamp.changed, written, 0))
            costs.append(json.dumps({"share": chunk.share, "own": own}).encode())
        rows = np.empty(self.pairs, dtype=np.dtype(ROW))
        both = np.concatenate(keys)
        rows["high"], rows["low"] = both[:, 0], both[:, 1]
        rows["score"] = np.concatenate(scores)
        rows["entry"] = np.repeat(np.arange(len(lengths)), lengths)
        entries = np.array(list(zip(owners, lengths, strict=True)), dtype=np.dtype(ENTRY))
        order, is_again = key_order(rows["high"], rows["low"], _by_entry(rows))
        rows = rows[order]
        again = np.flatnonzero(is_again)
        repeats = rows["entry"][again][rows["entry"][again] == rows["entry"][again - 1]]
        np.subtract.at(entries["size"], repeats, 1)
        chunks = np.array(table, dtype=np.dtype(CHUNK))
        is_there = np.ones(len(chunks), dtype=bool)
        return Source(partial(between, rows), len(rows), entries, chunks, costs, is_there)


def source_of(file: MergedPairs) -> Source:
    """Return what a file holds of chunks that are as they were."""
    costs = [file.costs_of(chunk) for chunk in range(len(file.chunks))]
    return Source(file.rows_between, file.pairs, file.entries, file.chunks, costs, file.is_there)


def write(path: Path, sources: Sequence[Source]) -> None:
    """Write a file of merged pairs. Raises DamagedFile or OSError where one of the sources cannot
    be read, BenchError where the file cannot be written.
    """
    import numpy as np

    tables = _Tables(sources)
    at_most = sum(source.pairs for source in sources)
    bits = max(1, math.ceil(math.log2(max(2, at_most) / ROWS_A_BUCKET)))
    lengths = np.zeros(2**bits, dtype=np.int64)
    sums = np.zeros(2**bits, dtype="<u4")
    shift = 64 - bits
    with whole_file(path) as file:
        for rows in _ranges(sources, tables, bits, at_most):
            data = memoryview(rows.tobytes())
            file.write(data)
            buckets, first, counts = np.unique(
                rows["high"] >> np.uint64(shift), return_index=True, return_counts=True
            )
            lengths[buckets.astype(np.int64)] = counts
            ends = (first + counts).tolist()
            for bucket, start, end in zip(buckets.tolist(), first.tolist(), ends, strict=True):
                sums[bucket] = crc32(data[start * ROW_BYTES : end * ROW_BYTES])
        starts = np.append(0, np.cumsum(lengths)).astype("<u4")
        sections = [
            b"".join(tables.costs),
            starts.tobytes(),
            sums.tobytes(),
            tables.entries.tobytes(),
            tables.chunks.tobytes(),
        ]
        for section in sections:
            file.write(section)
        counted = (int(starts[-1]), len(tables.entries), len(tables.chunks), len(sections[0]))
        foot = FOOT.pack(MARK, bits, *counted, *map(crc32, sections))
        file.write(foot + SUM.pack(crc32(foot)))


class _Tables:
    """The entries and chunks of all sources that count, under new numbers."""

    def __init__(self, sources: Sequence[Source]) -> None:
        import numpy as np

        self.numbers: list[NDArray[np.int64]] = []
        """Of each source: the new number of each of its entries, -1 of one that does not count."""
        self.costs: list[bytes] = []
        entries: list[NDArray[Any]] = []
        chunks: list[NDArray[Any]] = []
        first_entry = first_chunk = 0
        for source in sources:
            counts = source.is_there[source.entries["chunk"]]
            self.numbers.append(np.where(counts, np.cumsum(counts) - 1 + first_entry, -1))
            own = source.entries[counts]
            own["chunk"] = (np.cumsum(source.is_there) - 1 + first_chunk)[own["chunk"]]
            entries.append(own)
            chunks.append(source.chunks[source.is_there])
            there = np.flatnonzero(source.is_there).tolist()
            self.costs += [source.costs[place] for place in there]
            first_entry += len(own)
            first_chunk += len(chunks[-1])
        self.entries = np.concatenate(entries)
        self.chunks = np.concatenate(chunks)
        self.chunks["costs_end"] = np.cumsum([len(cost) for cost in self.costs])


def _ranges(
    sources: Sequence[Source], tables: _Tables, bits: int, at_most: int
) -> Iterator[NDArray[Any]]:
    """Yield the rows that count, range by range of their keys: of a pair the one that was written
    last.
    """
    import numpy as np

    ranges = 2 ** min(bits, max(0, math.ceil(math.log2(max(1, at_most) / ROWS_A_RANGE))))
    step = 2**64 // ranges
    written = tables.chunks["written"][tables.entries["chunk"]]
    for low in range(0, 2**64, step):
        parts: list[NDArray[Any]] = []
        for source, numbers in zip(sources, tables.numbers, strict=True):
            rows = source.rows_between(low, low + step)
            own = numbers[rows["entry"]]
            part = rows[own >= 0]
            part["entry"] = own[own >= 0]
            parts.append(part)
        together = np.concatenate(parts)
        entries = together["entry"].astype(np.int64)

        def ranks(
            places: NDArray[np.int64], entries: NDArray[np.int64] = entries
        ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
            own = entries[places]
            return own, -written[own]

        order, is_again = key_order(together["high"], together["low"], ranks)
        yield together[order[~is_again]]


def _by_entry(rows: NDArray[Any]) -> Callable[[Slots], tuple[Slots, Slots]]:
    """Return what ranks rows of equal keys by their entry, and then as they are."""
    import numpy as np

    def ranks(places: Slots) -> tuple[Slots, Slots]:
        return places, rows["entry"][places].astype(np.int64)

    return ranks
