"""Scores on disk, so that a killed run resumes and a finished one costs seconds.

One folder per fingerprint (everything that decides a reranker's scores), one .npz file per finished
chunk. An entry is keyed by the hash of its query and document texts: nothing else can change a
score, and nobody pays twice for the same text. Where a document's score does not depend on the
others (`by_pair`), an entry answers for each of its pairs, in whatever list they are asked for;
files of earlier versions, which do not say which pairs they hold, get a `.pairs` file next to them
when they are first asked for. Each file is written under a temporary name, synced and renamed: a
kill leaves whole chunks only. Where two files hold the same texts, as after `--fresh` with other
chunks, the scores of the newer file count: each says when it was written.

Of many files the pairs are merged into one, sorted by key, so that millions of pairs open at once
and stay on the disk (merged_pairs.py). The chunk files stay next to it: where it is damaged, they
are read and merged again.

No score in the cache is ever deleted. A damaged file is renamed, so that its requests are scored
again; a file that cannot be opened (permissions, too many open files, a stale mount) may be whole
and stays as it is; where nothing can be written, scores are used and not kept. `problems` says
which of it happened.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from bench.contract.identity import Fields
from bench.contract.scored import Amounts
from bench.core.cache_dir import cache_dir
from bench.core.digest import digest_of
from bench.core.json_file import in_json, read_json
from bench.core.note import Note
from bench.core.redaction import redacted
from bench.datasets.base import content_hash
from bench.scoring import chunk_file
from bench.scoring.cache_folder import CacheFolder
from bench.scoring.chunk_file import Chunk
from bench.scoring.entry_pairs import NO_COST, Cost, EntryPairs, add_amounts
from bench.scoring.merged_folder import MergedFolder

if TYPE_CHECKING:
    from bench.contract.request import CandidateList, Scores
    from bench.scoring.pairs import Keys

LAYOUT = 1
_CHECKSUM = "checksum"
_CHUNK, _PAIRS = ".npz", ".pairs"
_DESCRIBED = {"backend", "identity", "facts"}


def request_key(request: CandidateList, *, with_scores: bool = False) -> str:
    """Return what decides the scores of one request for a given reranker: its texts, in order, and
    the scores of the stage before where these count.
    """
    rows = [(request.query, *request.docs)]
    if with_scores:
        rows.append((*request.doc_ids, *map(float.hex, map(float, request.scores))))
    return content_hash(rows)


class ScoreCache:
    """The cached scores of one reranker. `description` is what it said it had loaded when it wrote
    them.
    """

    def __init__(
        self,
        fingerprint: Fields,
        *,
        fresh: bool = False,
        root: Path | None = None,
        by_pair: bool = False,
        since: int = 0,
    ) -> None:
        """`fresh` reads nothing; what was written before `since` (nanoseconds since 1970) is not
        used.
        """
        fields = {"layout": LAYOUT, **fingerprint}
        self.folder = (root or cache_dir("scores")) / digest_of(fields)[:20]
        self._files = CacheFolder(self.folder)
        self._fingerprint = json.dumps(redacted(fields), sort_keys=True, default=str)
        self._written: dict[str, int] = {}
        self._scores: dict[str, Scores] = {}
        self._costs: dict[str, Cost] = {}
        """By key, of what counts by list."""
        self.by_pair: EntryPairs | None = None
        self._merged: MergedFolder | None = None
        if by_pair:
            self._merged = MergedFolder(self._files, since, self._read_again)
            self.by_pair = self._merged.pairs
        self._learned: dict[str, Keys] = {}
        self._since = since
        self._names: set[str] = set()
        self._files.clear_remains()
        if not fresh:
            self.read()

    def __len__(self) -> int:
        """Return how many scores are in memory."""
        count = sum(map(len, self._scores.values()))
        if self.by_pair is not None:
            count += len(self.by_pair.table)
        return count

    def get(self, key: str) -> Scores | None:
        """Return the scores of a request that count by list; None where there are none."""
        return self._scores.get(key)

    def written(self, key: str) -> int:
        """Return when the entry of a list was written, in nanoseconds since 1970."""
        return self._written[key]

    @property
    def has_lists(self) -> bool:
        """Whether some scores count by list."""
        return bool(self._scores)

    def learn(self, key: str, pairs: Keys) -> None:
        """Let the entry of a list count by pair from now on: these are its pairs."""
        if self.by_pair is not None:
            self._take_pairs(self.by_pair, {key: pairs})
            self._learned[key] = pairs

    def keep_learned(self) -> None:
        """Write which pairs the entries are of that are known by now."""
        if self._learned:
            name = f"{content_hash([tuple(self._learned)])}{_PAIRS}"
            self._files.write(name, chunk_file.encode_pairs(self._learned))
            self._learned = {}

    @property
    def description(self) -> Fields | None:
        """What the reranker loaded, without secrets; None where there is no file, or one that was
        changed since.
        """
        try:
            description = read_json(self.folder / "description.json")
        except (OSError, ValueError):
            return None
        if not isinstance(description, dict):
            return None
        checksum = description.pop(_CHECKSUM, None)
        is_older = checksum is None and set(description) == _DESCRIBED
        if not is_older and checksum != _checksum(description):
            return None
        plain: Fields = redacted(description)
        return plain

    @property
    def problems(self) -> list[Note]:
        """What was wrong with the cache, with counts."""
        return self._files.problems

    def usage(self, keys: Iterable[str]) -> Amounts:
        """Return what the requests with these keys, which count by list, cost when they were
        scored, each once. What is known of a chunk alone is spread over it.
        """
        total: Amounts = {}
        for key in dict.fromkeys(keys):
            for part in self._costs.get(key, NO_COST):
                add_amounts(total, part)
        return total

    def own_usage(self, key: str) -> Amounts:
        """Return what this request cost by itself; empty where it is known of whole chunks only."""
        return self._costs.get(key, NO_COST).own

    def describe(self, description: Fields) -> None:
        """Keep what the reranker says it loaded, and the fingerprint in plain text, next to the
        scores; both without secrets.
        """
        plain = redacted(in_json(dict(description)))
        if plain == self.description:
            return
        self._files.write("fingerprint.json", self._fingerprint.encode())
        self._files.write(
            "description.json",
            json.dumps({**plain, _CHECKSUM: _checksum(plain)}, sort_keys=True).encode(),
        )

    def put(
        self,
        scores: Mapping[str, Scores],
        usage: Mapping[str, float],
        own: Mapping[str, Amounts] | None = None,
        *,
        keep: bool = True,
        pairs: Mapping[str, Keys] | None = None,
    ) -> Path | None:
        """Keep one chunk, with what it cost altogether and, as far as it is known, which part of
        that each request did. `pairs` are those of the requests that count by pair.

        Returns the chunk's file; None where it could not be written, or is not to be kept beyond
        this run.
        """
        if not scores:
            return None
        own = {key: amounts for key, amounts in (own or {}).items() if key in scores}
        share: Amounts = {}
        for name, value in usage.items():
            own_total = sum(amounts.get(name, 0.0) for amounts in own.values())
            share[name] = (value - own_total) / len(scores)
        by_pair = {key: keys for key, keys in (pairs or {}).items() if key in scores}
        chunk = Chunk(dict(scores), share, own, written=time.time_ns(), pairs=by_pair)
        self._take(chunk, chunk.written)
        if not keep:
            return None
        name = f"{content_hash([tuple(scores)])}{_CHUNK}"
        self._names.add(name)
        return self._files.write(name, chunk_file.encode(chunk))

    def _take(self, chunk: Chunk, written: int) -> None:
        """Use the scores of a chunk, but for those of which a newer one is known."""
        newer = [key for key in chunk.scores if written >= self._written.get(key, 0)]
        self._written.update(dict.fromkeys(newer, written))
        costs = {key: Cost(chunk.share, chunk.own.get(key, {})) for key in newer}
        pairs: dict[str, Keys] = {}
        if self.by_pair is not None:
            pairs = {key: chunk.pairs[key] for key in newer if key in chunk.pairs}
            self.by_pair.add(pairs, chunk.scores, written, costs)
        for key in newer:
            if key in pairs:
                self._scores.pop(key, None)
                self._costs.pop(key, None)
            else:
                self._scores[key] = chunk.scores[key]
                self._costs[key] = costs[key]

    def read(self) -> None:
        """Read the files that are new since this was last called. `problems` are those of the
        files read now.
        """
        self._files.forget_problems()
        self._read_chunks()
        if self.by_pair is not None:
            names = [entry.name for entry in self._files.entries(_PAIRS)]
            new = [name for name in names if name not in self._names]
            for path, pairs in self._files.decoded(new, chunk_file.decode_pairs):
                self._names.add(path.name)
                self._take_pairs(self.by_pair, pairs)

    def _read_chunks(self) -> None:
        entries = self._files.entries(_CHUNK)
        if self._merged is not None:
            self._names |= self._merged.read(entries)
        new = [entry.name for entry in entries if entry.name not in self._names]
        for path, chunk in self._files.decoded(new, chunk_file.decode):
            self._names.add(path.name)
            self._files.impossible += chunk.impossible
            written = chunk.written or _changed(path)
            if self._merged is not None and self._merged.take(path.name, written, chunk):
                continue
            if written >= self._since:
                self._take(chunk, written)
        if self._merged is not None:
            for written, chunk in self._merged.rest():
                if written >= self._since:
                    self._take(chunk, written)

    def _read_again(self, names: set[str]) -> None:
        """Read chunk files that were known by a file of merged pairs."""
        self._names -= names
        self._read_chunks()

    def _take_pairs(self, by_pair: EntryPairs, pairs: Mapping[str, Keys]) -> None:
        """Let the entries of these lists count by pair, where their lengths are right."""
        for key, keys in pairs.items():
            if key in self._scores and len(self._scores[key]) == len(keys):
                scores = {key: self._scores.pop(key)}
                costs = {key: self._costs.pop(key, NO_COST)}
                by_pair.add({key: keys}, scores, self._written[key], costs)


def _checksum(description: Fields) -> str:
    return digest_of(description)[:16]


def _changed(path: Path) -> int:
    """Return when a file was changed, in nanoseconds since 1970: it says which of two files is the
    newer one where they do not say so themselves.
    """
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
