"""Scores on disk, so that a killed run resumes and a finished one costs seconds.

One folder per fingerprint (everything that decides a reranker's scores), one .npz file per finished chunk. An entry is keyed by the
hash of its query and document texts: nothing else can change a score, and nobody pays twice for the same text. Each file is written
under a temporary name, synced and renamed: a kill leaves whole chunks only. Where two files hold the same texts, as after `--fresh`
with other chunks, the scores of the newer file count.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.atomic import write_atomically
from bench.cachedir import cache_dir
from bench.datasets.base import content_hash

if TYPE_CHECKING:
    from bench.rerankers.base import Request, Scores

LAYOUT = 1
Amounts = dict[str, float]
"""A usage by the names of its fields."""


def request_key(request: Request) -> str:
    """What decides the scores of one request for a given reranker: its texts, in order."""
    return content_hash(((request.query, *request.docs),))


class ScoreCache:
    """The cached scores of one reranker. `description` is what it said it had loaded when it wrote them."""

    def __init__(self, fingerprint: Mapping[str, Any], *, fresh: bool = False, root: Path | None = None) -> None:
        text = json.dumps({"layout": LAYOUT, **fingerprint}, sort_keys=True, default=str)
        self.folder = (root or cache_dir("scores")) / hashlib.sha256(text.encode()).hexdigest()[:20]
        self._fingerprint = text
        self._scores: dict[str, Scores] = {}
        self._usage: dict[str, tuple[Amounts, Amounts]] = {}
        """By key: its share of what is known of a chunk alone, and what it cost by itself; nothing where that was not told."""
        if not fresh:
            self._read()

    def get(self, key: str) -> Scores | None:
        return self._scores.get(key)

    @property
    def description(self) -> dict[str, Any] | None:
        path = self.folder / "description.json"
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) else None

    def usage(self, keys: Iterable[str]) -> Amounts:
        """What the requests with these keys, each once, cost when they were scored. What is known of a chunk alone is spread over it."""
        total: Amounts = {}
        for part in (part for key in dict.fromkeys(keys) for part in self._usage.get(key, ())):
            for name, value in part.items():
                total[name] = total.get(name, 0.0) + value
        return total

    def own_usage(self, key: str) -> Amounts:
        """What the reranker said that this request cost by itself; empty where it told of whole chunks only."""
        return self._usage.get(key, ({}, {}))[1]

    def describe(self, description: Mapping[str, Any]) -> None:
        """Keep what the reranker says it loaded, and the fingerprint in plain text, beside the scores."""
        write_atomically(self.folder / "fingerprint.json", self._fingerprint.encode())
        write_atomically(self.folder / "description.json", json.dumps(dict(description), sort_keys=True, default=str).encode())

    def put(self, scores: Mapping[str, Scores], usage: Mapping[str, float], own: Mapping[str, Amounts] | None = None) -> Path | None:
        """Keep one chunk, with what it cost as a whole and, as far as it is known, which part of that each request did.

        Returns the chunk's file.
        """
        import io

        import numpy as np

        if not scores:
            return None
        own = {key: found for key, found in (own or {}).items() if key in scores}
        told = {name: sum(found.get(name, 0.0) for found in own.values()) for name in usage}
        share = {name: (value - told[name]) / len(scores) for name, value in usage.items()}
        buffer = io.BytesIO()
        np.savez(
            buffer,
            keys=np.array(list(scores)),
            bounds=np.cumsum([len(values) for values in scores.values()]),
            scores=np.concatenate(list(scores.values())).astype(np.float64),
            usage=np.array(json.dumps(share)),
            own_usage=np.array(json.dumps(own)),
        )
        path = self.folder / f"{content_hash([tuple(scores)])}.npz"
        write_atomically(path, buffer.getvalue())
        self._scores.update(scores)
        self._usage.update({key: (share, own.get(key, {})) for key in scores})
        return path

    def _read(self) -> None:
        import zipfile

        import numpy as np

        for path in _oldest_first(self.folder.glob("*.npz")):
            try:
                with path.open("rb") as file, np.load(file, allow_pickle=False) as chunk:
                    keys, bounds, scores = chunk["keys"].tolist(), chunk["bounds"], chunk["scores"]
                    share = json.loads(str(chunk["usage"]))
                    own = json.loads(str(chunk["own_usage"])) if "own_usage" in chunk else {}
            except (OSError, ValueError, KeyError, zipfile.BadZipFile):
                path.unlink(missing_ok=True)  # damaged from outside: its requests are scored again
                continue
            self._scores.update(zip(keys, np.split(scores, bounds[:-1]), strict=True))
            self._usage.update({key: (share, own.get(key, {})) for key in keys})


def _oldest_first(paths: Iterable[Path]) -> list[Path]:
    """Return the files by the time at which they were written, so that reading them in order keeps
    the newest value; equal times by name. A file that another process removed meanwhile is left out.
    """
    written: list[tuple[int, Path]] = []
    for path in paths:
        try:
            written.append((path.stat().st_mtime_ns, path))
        except FileNotFoundError:
            continue
    return [path for _, path in sorted(written)]
