"""The embeddings of a collection's documents on disk: made once per collection and encoder, in
chunks that survive a kill, and joined into one store.

A folder per collection and encoder holds the finished `store`, and `parts` while it is being made:
each part is a folder that is whole, with the digests of its files, or not there. Documents of the
same text share an embedding.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Protocol

from bench.contract.encoding import EncodedTexts
from bench.core.atomic import clear_building
from bench.core.cache_dir import set_aside
from bench.core.kept_folder import alone, folder_size, is_intact, keep
from bench.core.note import Code, Note, note
from bench.core.progress import Observer
from bench.datasets.base import Dataset
from bench.retrieval.distinct_texts import Chunk, Texts

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CHUNK = 1024
"""Texts per part: what a kill loses at most."""
FACTS = "facts.json"
DOC_IDS = "doc_ids.json"
ROWS = "rows.npy"


class Block(Protocol):
    """The embeddings of some texts."""

    def save(self, folder: Path) -> None:
        """Write the embeddings into files of a folder, as numpy's arrays."""


Encode = Callable[[Sequence[str]], tuple[Block, int]]
"""Returns the embeddings of texts, and how many of these the model could read in part only."""
Join = Callable[[Sequence[Path], int, Path], int]
"""Puts the parts in these folders, of so many rows together, end to end into the files of a folder,
and returns how many entries they have.
"""


Elsewhere = Callable[
    [Iterator[tuple[tuple[Path, Chunk], Sequence[str]]]],
    Generator[tuple[tuple[Path, Chunk], EncodedTexts]],
]
"""Yields each part of a store with the embeddings of its texts, in any order."""


@dataclass(frozen=True)
class Extra:
    """What searching a store takes next to it: an index of its own."""

    seconds: float = 0.0
    bytes: int = 0
    opened: bool = True


@dataclass(frozen=True)
class Store:
    """A finished store. `rows` holds, per document in ascending order of ids, the row of its
    embedding.
    """

    folder: Path
    doc_ids: Sequence[str]
    rows: NDArray[np.int64]
    entries: int
    seconds: float
    """What making it took, over all processes that made a part of it."""
    cut: int
    """Texts that the model could read in part only."""
    opened: bool
    """Whether it was there already."""
    temporary: TemporaryDirectory[str] | None = None

    @property
    def bytes(self) -> int:
        """Return what it takes on disk."""
        return folder_size(self.folder)

    def array(self, name: str) -> Any:
        """Return one of its arrays, memory-mapped."""
        import numpy as np

        return np.load(self.folder / name, mmap_mode="r", allow_pickle=False)

    def close(self) -> None:
        """Remove a store that is not kept."""
        if self.temporary is not None:
            self.temporary.cleanup()


@dataclass
class Embedding:
    """What makes a store: the collection, the encoder, how its embeddings lie on disk."""

    dataset: Dataset
    encode: Encode
    join: Join
    label: str
    observer: Observer
    chunk: int = CHUNK
    elsewhere: Elsewhere | None = None
    """Who encodes in the place of this process."""

    def store(self, folder: Path | None) -> tuple[Store, list[Note]]:
        """Return the store of a folder, made there where it is not whole, and what to know of it.

        None, or a folder that cannot be written: a temporary one, which `Store.close` removes.
        """
        notes: list[Note] = []
        if folder is not None:
            try:
                return self._kept(folder, notes), notes
            except OSError as error:
                notes.append(note(Code.VECTORS_NOT_KEPT, text=error.strerror or str(error)))
        temporary = TemporaryDirectory(prefix="rerank-bench-")
        place = Path(temporary.name) / "store"
        self._make(place, place.with_name("parts"), notes)
        return opened(place, is_new=True, temporary=temporary), notes

    def _kept(self, folder: Path, notes: list[Note]) -> Store:
        place = folder / "store"
        if is_intact(place):
            return opened(place)
        with alone(place):
            # another process may have made it meanwhile
            if is_intact(place):
                return opened(place)
            if place.exists():
                set_aside(place)
                notes.append(note(Code.VECTORS_DAMAGED))
            clear_building(place)
            self._make(place, folder / "parts", notes)
        return opened(place, is_new=True)

    def _make(self, place: Path, parts: Path, notes: list[Note]) -> None:
        texts = Texts.read(self.dataset)
        folders: list[Path] = []
        with self.observer.task(self.label, len(texts.digests), "texts") as advance:
            missing = self._missing(texts, parts, folders, notes, advance)
            if self.elsewhere is None:
                for part, rows in missing:
                    self._make_part(part, rows)
                    advance(len(rows.texts))
            else:
                self._make_elsewhere(self.elsewhere, missing, notes, advance)
        keep(place, partial(self._fill, texts, folders))
        shutil.rmtree(parts, ignore_errors=True)

    def _missing(
        self,
        texts: Texts,
        parts: Path,
        folders: list[Path],
        notes: list[Note],
        advance: Callable[[int], None],
    ) -> Iterator[tuple[Path, Chunk]]:
        """Yield the parts that are not whole; add the folders of all."""
        for number, rows in enumerate(texts.chunks(self.chunk)):
            part = parts / f"{number:06d}"
            folders.append(part)
            if self._is_part(part, rows.digest):
                advance(len(rows.texts))
                continue
            if part.exists():
                set_aside(part)
                notes.append(note(Code.VECTORS_DAMAGED))
            yield part, rows

    def _make_elsewhere(
        self,
        elsewhere: Elsewhere,
        missing: Iterator[tuple[Path, Chunk]],
        notes: list[Note],
        advance: Callable[[int], None],
    ) -> None:
        """Have parts encoded by others, several at once, and keep each when it comes."""
        items = (((part, rows), rows.texts) for part, rows in missing)
        with closing(elsewhere(items)) as encoded:
            for (part, rows), texts in encoded:
                save = partial(_write_files, texts.files)
                _keep_part(part, rows, save, texts.cut, texts.seconds)
                if texts.note is not None and texts.note not in notes:
                    notes.append(texts.note)
                advance(len(rows.texts))

    def _is_part(self, part: Path, digest: str) -> bool:
        """Return whether a part is whole and of these texts."""
        if not is_intact(part):
            return False
        with suppress(ValueError, KeyError, TypeError):
            facts = json.loads((part / FACTS).read_text(encoding="utf-8"))
            return bool(facts["texts"] == digest)
        return False

    def _make_part(self, part: Path, rows: Chunk) -> None:
        begin = time.perf_counter()
        block, cut = self.encode(rows.texts)
        _keep_part(part, rows, block.save, cut, time.perf_counter() - begin)

    def _fill(self, texts: Texts, parts: Sequence[Path], folder: Path) -> None:
        """Write the files of the store from those of the parts."""
        import numpy as np

        begin = time.perf_counter()
        entries = self.join(parts, len(texts.digests), folder)
        order = sorted(range(len(texts.doc_ids)), key=texts.doc_ids.__getitem__)
        np.save(folder / ROWS, np.asarray(texts.rows, dtype=np.int64)[order])
        doc_ids = [texts.doc_ids[i] for i in order]
        (folder / DOC_IDS).write_text(json.dumps(doc_ids), encoding="utf-8")
        of_parts = [json.loads((part / FACTS).read_text(encoding="utf-8")) for part in parts]
        seconds = sum(facts["seconds"] for facts in of_parts) + time.perf_counter() - begin
        cut = sum(facts["cut"] for facts in of_parts)
        facts = {"entries": entries, "seconds": seconds, "cut": cut}
        (folder / FACTS).write_text(json.dumps(facts), encoding="utf-8")


def _keep_part(
    part: Path, rows: Chunk, save: Callable[[Path], object], cut: int, seconds: float
) -> None:
    """Keep the embeddings of a chunk, which `save` writes into a folder, with what to know of
    them.
    """
    facts = {"texts": rows.digest, "cut": cut, "seconds": seconds}

    def fill(folder: Path) -> None:
        save(folder)
        (folder / FACTS).write_text(json.dumps(facts), encoding="utf-8")

    keep(part, fill)


def _write_files(files: Mapping[str, bytes], folder: Path) -> None:
    """Write the files of a part that was encoded elsewhere."""
    for name, content in files.items():
        # a name that leads out of the folder is none
        (folder / Path(name).name).write_bytes(content)


def opened(
    folder: Path, *, is_new: bool = False, temporary: TemporaryDirectory[str] | None = None
) -> Store:
    """Return the store of a folder that is whole."""
    import numpy as np

    facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
    return Store(
        folder=folder,
        doc_ids=json.loads((folder / DOC_IDS).read_text(encoding="utf-8")),
        rows=np.load(folder / ROWS, allow_pickle=False),
        entries=facts["entries"],
        seconds=facts["seconds"],
        cut=facts["cut"],
        opened=not is_new,
        temporary=temporary,
    )
