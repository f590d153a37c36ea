"""Scores on disk, so that a killed run resumes and a finished one costs seconds.

One folder per fingerprint (everything that decides a reranker's scores), one .npz file per finished
chunk. An entry is keyed by the hash of its query and document texts: nothing else can change a
score, and nobody pays twice for the same text. Where a document's score does not depend on the
others (`by_pair`), an entry answers for each of its pairs, in whatever list they are asked for;
files of earlier versions, which do not say which pairs they hold, get a `.pairs` file next to them
when they are first asked for. Each file is written under a temporary name, synced and renamed: a
kill leaves whole chunks only. Where two files hold the same texts, as after `--fresh` with other
chunks, the scores of the newer file count: each says when it was written.

Nothing in the cache is ever deleted. A damaged file is renamed, so that its requests are scored
again; a file that cannot be opened (permissions, too many open files, a stale mount) may be whole
and stays as it is; where nothing can be written, scores are used and not kept. `problems` says
which of it happened.
"""

from __future__ import annotations

import json
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from bench.contract.identity import Fields
from bench.contract.scored import Amounts
from bench.core.atomic import write_atomically
from bench.core.cache_dir import cache_dir, make_folder, set_aside
from bench.core.digest import digest_of
from bench.core.errors import BenchError
from bench.core.note import Code, Note, note
from bench.core.redaction import redacted
from bench.datasets.base import content_hash
from bench.scoring import chunk_file
from bench.scoring.chunk_file import Chunk
from bench.scoring.entry_pairs import EntryPairs

if TYPE_CHECKING:
    from bench.contract.request import CandidateList, Scores
    from bench.scoring.pairs import Keys, Slots

LAYOUT = 1
_CHECKSUM = "checksum"
_CHUNK, _PAIRS = ".npz", ".pairs"
Content = TypeVar("Content")
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

    _damaged = 0
    _impossible = 0
    _unreadable = 0
    _reason = ""
    _unwritable = ""

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
        self._fingerprint = json.dumps(redacted(fields), sort_keys=True, default=str)
        self._written: dict[str, int] = {}
        self._scores: dict[str, Scores] = {}
        self._usage: dict[str, tuple[Amounts, Amounts]] = {}
        """By key: its share of what is known of a chunk alone, and what it cost by itself, where
        that is known.
        """
        self.by_pair: EntryPairs | None = None
        if by_pair:
            self.by_pair = EntryPairs()
        self._learned: dict[str, Keys] = {}
        self._since = since
        self._names: set[str] = set()
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
            self.by_pair.add({key: pairs}, {key: self._scores.pop(key)}, self._written[key])
            self._learned[key] = pairs

    def keep_learned(self) -> None:
        """Write which pairs the entries are of that are known by now."""
        if self._learned:
            name = f"{content_hash([tuple(self._learned)])}{_PAIRS}"
            self._write(name, chunk_file.encode_pairs(self._learned))
            self._learned = {}

    @property
    def description(self) -> Fields | None:
        """What the reranker loaded, without secrets; None where there is no file, or one that was
        changed since.
        """
        try:
            description = json.loads((self.folder / "description.json").read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
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
        notes = []
        if self._damaged:
            notes.append(note(Code.CACHE_DAMAGED, self._damaged))
        if self._unreadable:
            notes.append(note(Code.CACHE_UNREADABLE, self._unreadable, text=self._reason))
        elif self._reason:
            notes.append(note(Code.CACHE_CLOSED, text=self._reason))
        if self._impossible:
            notes.append(note(Code.CACHE_IMPOSSIBLE, self._impossible))
        if self._unwritable:
            notes.append(note(Code.CACHE_NOT_KEPT, text=self._unwritable))
        # a run keeps these notes: they name no place of this machine
        return [
            problem.at(f"score cache {self.folder.parent.name}/{self.folder.name}")
            for problem in notes
        ]

    def usage(self, keys: Iterable[str]) -> Amounts:
        """Return what the requests with these keys, each once, cost when they were scored. What is
        known of a chunk alone is spread over it.
        """
        total: Amounts = {}
        for key in dict.fromkeys(keys):
            for part in self._usage.get(key, ()):
                _add(total, part)
        return total

    def usage_of_pairs(self, slots: Slots) -> Amounts:
        """Return what these pairs, each once, cost when they were scored: of an entry of which some
        are not among them, its share by the number of pairs.
        """
        total: Amounts = {}
        if self.by_pair is None:
            return total
        for key, share in self.by_pair.shares(slots):
            for part in self._usage[key]:
                _add(total, part, share)
        return total

    def own_usage_of_pairs(self, slots: Slots) -> Amounts:
        """Return the same of what requests cost by themselves; empty where it is known of whole
        chunks only.
        """
        total: Amounts = {}
        if self.by_pair is None:
            return total
        for key, share in self.by_pair.shares(slots):
            _add(total, self.own_usage(key), share)
        return total

    def own_usage(self, key: str) -> Amounts:
        """Return what this request cost by itself; empty where it is known of whole chunks only."""
        return self._usage.get(key, ({}, {}))[1]

    def describe(self, description: Fields) -> None:
        """Keep what the reranker says it loaded, and the fingerprint in plain text, next to the
        scores; both without secrets.
        """
        plain = redacted(json.loads(json.dumps(dict(description), sort_keys=True, default=str)))
        if plain == self.description:
            return
        self._write("fingerprint.json", self._fingerprint.encode())
        self._write(
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
        return self._write(name, chunk_file.encode(chunk))

    def _take(self, chunk: Chunk, written: int) -> None:
        """Use the scores of a chunk, but for those of which a newer one is known."""
        newer = [key for key in chunk.scores if written >= self._written.get(key, 0)]
        self._written.update(dict.fromkeys(newer, written))
        self._usage.update({key: (chunk.share, chunk.own.get(key, {})) for key in newer})
        if self.by_pair is None:
            self._scores.update({key: chunk.scores[key] for key in newer})
            return
        for key in newer:
            if key in chunk.pairs:
                self._scores.pop(key, None)
            else:
                self._scores[key] = chunk.scores[key]
        pairs = {key: chunk.pairs[key] for key in newer if key in chunk.pairs}
        self.by_pair.add(pairs, chunk.scores, written)

    def _write(self, name: str, data: bytes) -> Path | None:
        path = self.folder / name
        try:
            make_folder(self.folder)
            if path.is_dir():
                set_aside(path)
            write_atomically(path, data)
        except (BenchError, OSError) as error:
            self._unwritable = self._unwritable or _reason_of(error)
            return None
        return path

    def read(self) -> None:
        """Read the files that are new since this was last called. `problems` are those of the
        files read now.
        """
        self._damaged = self._impossible = self._unreadable = 0
        self._reason = ""
        for path, chunk in self._decoded(_CHUNK, chunk_file.decode):
            self._impossible += chunk.impossible
            written = chunk.written or _changed(path)
            if written >= self._since:
                self._take(chunk, written)
        if self.by_pair is not None:
            for _, pairs in self._decoded(_PAIRS, chunk_file.decode_pairs):
                self._take_pairs(self.by_pair, pairs)

    def _take_pairs(self, by_pair: EntryPairs, pairs: Mapping[str, Keys]) -> None:
        """Let the entries of these lists count by pair, where their lengths are right."""
        for key, keys in pairs.items():
            if key in self._scores and len(self._scores[key]) == len(keys):
                by_pair.add({key: keys}, {key: self._scores.pop(key)}, self._written[key])

    def _decoded(
        self, ending: str, decode: Callable[[bytes], Content]
    ) -> Iterator[tuple[Path, Content]]:
        """Yield the new files with this ending and what they hold."""
        for path in self._files(ending):
            if path.name in self._names:
                continue
            try:
                content = decode(_bytes_of(path))
            except FileNotFoundError:  # another process took it away
                continue
            except OSError as error:
                self._unreadable += 1
                self._reason = self._reason or _reason_of(error)
                continue
            except chunk_file.DamagedFile:
                self._set_aside(path)
                continue
            self._names.add(path.name)
            yield path, content

    def _files(self, ending: str) -> Iterator[Path]:
        """Yield the files with this ending by name: which of two scores is the newer one is decided
        as they are read.
        """
        try:
            paths = list(self.folder.glob(f"*{ending}"))
            if not paths:
                # glob is silent about a folder that may not be listed
                next(self.folder.iterdir(), None)
        except FileNotFoundError:
            return
        except OSError as error:
            self._reason = _reason_of(error)
            return
        yield from sorted(paths)

    def _set_aside(self, path: Path) -> None:
        try:
            set_aside(path)
            self._damaged += 1
        except FileNotFoundError:
            return
        except OSError as error:
            self._unreadable += 1
            self._reason = self._reason or f"damaged, and not to be renamed: {_reason_of(error)}"


def _add(total: Amounts, amounts: Amounts, share: float = 1.0) -> None:
    """Add a share of some amounts to a total."""
    for name, value in amounts.items():
        total[name] = total.get(name, 0.0) + share * value


def _reason_of(error: BaseException) -> str:
    """Return what the system said, without the path."""
    cause = error.__cause__ or error
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror
    return type(cause).__name__


def _checksum(description: Fields) -> str:
    return digest_of(description)[:16]


def _bytes_of(path: Path) -> bytes:
    """Return the bytes of a regular file. Anything else by that name, such as a folder or a pipe,
    has none and counts as damaged.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        return b""
    return path.read_bytes()


def _changed(path: Path) -> int:
    """Return when a file was changed, in nanoseconds since 1970: it says which of two files is the
    newer one where they do not say so themselves.
    """
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
