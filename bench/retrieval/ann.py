"""Approximate search over dense embeddings by faiss (Douze et al., "The Faiss library", 2024), kept
next to the store that it is made of.

What it picks is scored as the exact search scores it. Building uses all threads, so that two
builds of an index may differ in what they find: the one in the cache serves until it is damaged.
"""

from __future__ import annotations

import errno
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from bench.core.kept_folder import alone, folder_size, is_intact, keep
from bench.retrieval.dense_index import BLOCK
from bench.retrieval.vectors import Extra

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from bench.retrieval.dense_index import Rows, Vectors

NEIGHBOURS = 32
"""Edges per vector of an HNSW graph."""
EF_CONSTRUCTION = 200
PER_LIST = 64
"""Vectors that training looks at per list of an inverted file, at most."""
INDEX = "index.faiss"
SECONDS = "seconds.json"
Kind = Literal["faiss-hnsw", "faiss-ivf"]


@dataclass(frozen=True)
class Approximate:
    """Rows that an index of faiss finds. `folder` is None for one that is not kept."""

    index: Any
    kind: Kind
    effort: int | None
    seconds: float
    opened: bool
    folder: Path | None

    @property
    def extra(self) -> Extra:
        """What it took to build, and takes on disk, or would take."""
        import faiss

        if self.folder is None:
            size = int(faiss.serialize_index(self.index).nbytes)
        else:
            size = folder_size(self.folder)
        return Extra(self.seconds, size, self.opened)

    def pick(self, queries: Vectors, depth: int) -> Iterator[Rows]:
        import numpy as np

        if self.kind == "faiss-hnsw":
            self.index.hnsw.efSearch = self.effort or 2 * depth
        else:
            self.index.nprobe = self.effort or max(1, self.index.nlist // 8)
        _, rows = self.index.search(np.ascontiguousarray(queries), min(depth, self.index.ntotal))
        for of_query in rows:
            # where it finds fewer, faiss fills up with -1
            yield of_query[of_query >= 0].astype(np.int64)


def approximate(
    vectors: NDArray[np.float16], kind: Kind, effort: int | None, folder: Path | None
) -> Approximate:
    """Return the index of a folder, made there where it is not whole. Without a folder, or where it
    cannot be written, it serves from memory.
    """
    import faiss

    if folder is None:
        return _made(vectors, kind, effort)
    approximation: Approximate | None = None
    try:
        with alone(folder):
            if not is_intact(folder):
                approximation = _made(vectors, kind, effort)
                keep(folder, partial(_save, approximation))
                return replace(approximation, folder=folder)
    except OSError:
        return approximation or _made(vectors, kind, effort)
    seconds = json.loads((folder / SECONDS).read_text(encoding="utf-8"))
    index = faiss.read_index(str(folder / INDEX))
    return Approximate(index, kind, effort, seconds, True, folder)


def _made(vectors: NDArray[np.float16], kind: Kind, effort: int | None) -> Approximate:
    import faiss
    import numpy as np

    begin = time.perf_counter()
    rows, dimensions = vectors.shape
    if kind == "faiss-hnsw":
        index = faiss.IndexHNSWFlat(dimensions, NEIGHBOURS, faiss.METRIC_INNER_PRODUCT)
        index.hnsw.efConstruction = EF_CONSTRUCTION
    else:
        lists = max(1, min(int(4 * rows**0.5), rows // 39))
        quantizer = faiss.IndexFlatIP(dimensions)
        index = faiss.IndexIVFFlat(quantizer, dimensions, lists, faiss.METRIC_INNER_PRODUCT)
        sample = np.random.default_rng(0).permutation(rows)[: PER_LIST * lists]
        index.train(np.asarray(vectors[np.sort(sample)], dtype=np.float32))
    for start in range(0, rows, BLOCK):
        index.add(np.asarray(vectors[start : start + BLOCK], dtype=np.float32))
    return Approximate(index, kind, effort, time.perf_counter() - begin, False, None)


def _save(approximate: Approximate, folder: Path) -> None:
    """Write an index into a folder. Raises OSError where it cannot be written."""
    import faiss

    path = folder / INDEX
    try:
        faiss.write_index(approximate.index, str(path))
    except RuntimeError as error:
        # what faiss raises for every reason, a full disk among them
        raise OSError(errno.EIO, "faiss cannot write it", str(path)) from error
    (folder / SECONDS).write_text(json.dumps(approximate.seconds), encoding="utf-8")
