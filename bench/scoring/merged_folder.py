"""The files of merged pairs in the folder of a score cache: opened, held to the chunk files next to
them, and made where there are many of those.

A file is made of chunk files that were all read whole, and answers for them as long as they are as
they were. So it may be damaged, missing, or made twice by two processes: no score depends on it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress

from bench.core.errors import BenchError
from bench.datasets.base import content_hash
from bench.scoring.cache_folder import CacheFolder
from bench.scoring.chunk_file import Chunk, DamagedFile
from bench.scoring.entry_pairs import EntryPairs
from bench.scoring.merged_pairs import MergedPairs, Stamp
from bench.scoring.merging import LONGEST_NAME, MOST_PAIRS, Batch, Source, source_of, write

ENDING = ".merged"
FEWEST_FILES = 256
"""Fewer chunk files than these are read one by one: that takes less than half a second."""
PAIRS_AT_ONCE = 2**21
"""Pairs of chunk files that are in memory until they are merged."""


class MergedFolder:
    """The merged files of a cache folder, as parts of the table of `pairs`. `read_again` reads
    chunk files, by their names, that a file answers for no more.
    """

    def __init__(
        self, folder: CacheFolder, since: int, read_again: Callable[[set[str]], None]
    ) -> None:
        self.pairs = EntryPairs(self._lose)
        self._folder = folder
        self._since = since
        self._read_again = read_again
        self._open: dict[str, MergedPairs] = {}
        self._names: dict[str, set[str]] = {}
        """By the name of a merged file: the chunk files that it answers for."""
        self._stamps: dict[str, Stamp] = {}
        self._batch = Batch()
        self._merges = True
        self._replaces = True
        """Whether nobody has asked for a pair yet: then files may take the place of others."""

    def read(self, chunks: Sequence[os.DirEntry[str]]) -> set[str]:
        """Open the files that are new; return the names of the chunk files that all answer for."""
        for entry in chunks:
            with suppress(OSError):
                about = entry.stat()
                self._stamps[entry.name] = Stamp(about.st_size, about.st_mtime_ns)
        for entry in self._folder.entries(ENDING):
            if entry.name not in self._open:
                self._add(entry.name)
        return set().union(*self._names.values())

    def take(self, name: str, written: int, chunk: Chunk) -> bool:
        """Take a chunk that is to be merged; return whether it is, as all of it counts by pair."""
        is_by_pair = len(chunk.pairs) == len(chunk.scores)
        if not self._merges or not is_by_pair or name not in self._stamps:
            return False
        if len(name) > LONGEST_NAME:
            return False
        self._batch.add(name, self._stamps[name], written, chunk)
        if self._batch.pairs >= PAIRS_AT_ONCE:
            self._merge()
        return True

    def rest(self) -> Iterator[tuple[int, Chunk]]:
        """Yield the chunks that were taken and are not merged, as they are too few, each with the
        time when it was written.
        """
        if len(self._batch.chunks) >= FEWEST_FILES and self._merges:
            self._merge()
        chunks = self._batch.chunks
        self._batch = Batch()
        self._stamps = {}
        self._replaces = False
        for _, _, written, chunk in chunks:
            yield written, chunk

    def _merge(self) -> None:
        """Write a file of the chunks that were taken, and of smaller files; where that fails, the
        chunks are left to be used from memory.
        """
        batch = self._batch.source()
        smaller = self._smaller(batch.pairs)
        name = self._written([*map(source_of, smaller), batch])
        if name is None and smaller:
            smaller = []
            name = self._written([batch])
        if name is None or not self._add(name):
            self._merges = False
            return
        self._batch = Batch()
        for file in smaller:
            self.pairs.drop_file(file)
            self._forget(file)
            if file.path.name != name:
                with suppress(OSError):
                    file.path.unlink()

    def _written(self, sources: Sequence[Source]) -> str | None:
        """Return the name of a new file; None where it could not be written."""
        names: list[str] = []
        for source in sources:
            names += [name.decode() for name in source.chunks["name"].tolist()]
        name = f"{content_hash([tuple(sorted(names))])}{ENDING}"
        try:
            write(self._folder.path / name, sources)
        except (BenchError, DamagedFile, OSError):
            return None
        return name

    def _smaller(self, pairs: int) -> list[MergedPairs]:
        """Return the files that are written anew together with so many pairs: a pair is written
        some times, and files are few.
        """
        smaller: list[MergedPairs] = []
        if not self._replaces:
            return smaller
        for file in sorted(self._open.values(), key=_pairs_there):
            own = _pairs_there(file)
            if own > 2 * pairs or own + pairs > MOST_PAIRS:
                break
            smaller.append(file)
            pairs += own
        return smaller

    def _add(self, name: str) -> bool:
        """Open a file; return whether it can be used."""
        path = self._folder.path / name
        try:
            file = MergedPairs(path)
        except FileNotFoundError:
            # another process has put a larger one in its place
            return False
        except (DamagedFile, OSError) as error:
            self._folder.count_problem(path, error)
            return False
        self._names[name] = file.hold_to(self._stamps, self._since)
        self._open[name] = file
        self.pairs.add_file(file)
        return True

    def _lose(self, file: MergedPairs, error: Exception) -> None:
        """Read the chunk files of a file that can be read no more."""
        self._folder.count_problem(file.path, error)
        self._read_again(self._forget(file))

    def _forget(self, file: MergedPairs) -> set[str]:
        """Close a file; return the names of the chunk files that it answered for."""
        file.close()
        del self._open[file.path.name]
        return self._names.pop(file.path.name)


def _pairs_there(file: MergedPairs) -> int:
    """Return how many pairs of a file are of chunks that are as they were."""
    sizes = file.entries["size"]
    return int(sizes[file.is_there[file.entries["chunk"]]].sum())
