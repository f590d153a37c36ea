"""What the score cache knows of the requests of one quality pass: by list, and by pair where a
document's score does not depend on the others.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from bench.contract.identity import Fields
from bench.contract.request import CandidateList, picked
from bench.contract.scored import Amounts, PairCounts, Scored, added
from bench.contract.stage import Reranker
from bench.core.digest import digest_of
from bench.scoring.cache import ScoreCache, request_key
from bench.scoring.entry_pairs import EntryPairs, PairCosts
from bench.scoring.pairs import ABSENT, PairRows, no_rows, pair_keys, query_digest

if TYPE_CHECKING:
    from bench.contract.request import Scores
    from bench.scoring.pairs import Keys

LARGEST = 10_000_000
"""Scores of several identities that a run has in memory at once."""
LATEST = 2**62


def shares_pairs(reranker: Reranker) -> bool:
    """Return whether a pair has the same score in whatever list it is asked for."""
    return reranker.is_sure_pointwise and reranker.reads_texts


class ScoreCaches:
    """The score caches of a run: stages of one identity share one, so that what any of them
    computed answers for the others, also under `fresh`. Those that were used last stay open, as
    long as they have at most LARGEST scores together.
    """

    def __init__(self, *, fresh: bool = False, since: int = 0) -> None:
        """`since` is a time in nanoseconds since 1970: scores of before are not used. Under `fresh`
        it is now.
        """
        self._fresh = fresh
        self._since = since
        self.began = time.time_ns()
        """Nanoseconds since 1970."""
        self._opened: dict[tuple[str, bool], ScoreCache] = {}
        self._seen: set[tuple[str, bool]] = set()

    def of_row(self) -> ScoreCaches:
        """Return the caches for a row that is no pipeline: under `fresh` it is scored anew,
        whatever other rows have bought.
        """
        if self._fresh:
            return ScoreCaches(fresh=True)
        return self

    def of(self, reranker: Reranker, fingerprint: Fields) -> ScoreCache:
        """Return the cache of a reranker, with what other processes have added to it."""
        by_pair = shares_pairs(reranker)
        key = (digest_of(fingerprint), by_pair)
        cache = self._opened.pop(key, None)
        if cache is None:
            since = self.began if self._fresh else self._since
            is_first = self._fresh and key not in self._seen
            cache = ScoreCache(fingerprint, fresh=is_first, by_pair=by_pair, since=since)
        else:
            cache.read()
        self._seen.add(key)
        self._opened[key] = cache
        while len(self._opened) > 1 and sum(map(len, self._opened.values())) > LARGEST:
            del self._opened[next(iter(self._opened))]
        return cache


class KnownScores:
    """Takes the scores of one pass out of the cache, and says what is missing."""

    def __init__(self, cache: ScoreCache, reranker: Reranker) -> None:
        self.cache = cache
        self._with_scores = reranker.reads_scores
        self._merges_calls = reranker.merges_calls
        self._list_keys: dict[str, str] = {}
        """Query id -> key of the cache, of requests that count by list."""
        self._written: dict[str, int] = {}
        """Query id -> when the oldest of its scores was written, of requests that count by pair and
        are complete.
        """
        self._latest = ("", no_rows(0))
        """The query of that kind that was completed last, with the rows of its pairs."""
        self._open: dict[str, Keys] = {}
        """Query id -> its pairs, of those that are not complete."""
        self._asked: dict[str, str] = {}
        self.pairs: dict[str, Keys] = {}
        """Key of a list that is asked -> its pairs, where these count."""
        self._entries = cache.by_pair or EntryPairs()
        self._used = PairCosts(self._entries)
        self._shared = PairCosts(self._entries)
        self._shared_pairs = 0
        self._own_usage: dict[str, Amounts] = {}

    def topic(self, request: CandidateList) -> str:
        """Return what requests have in common of which one may answer a part of the other."""
        if self.cache.by_pair is not None:
            return query_digest(request.query).hex()
        key = self._key(request)
        self._list_keys[request.query_id] = key
        return key

    def asked_key(self, query_id: str) -> str:
        """Return the key of the list that is asked of a query."""
        return self._asked[query_id]

    def taken(self, keys: Iterable[str]) -> None:
        """Forget the pairs of lists whose scores are in the cache by now."""
        for key in keys:
            self.pairs.pop(key, None)

    def _key(self, request: CandidateList) -> str:
        return request_key(request, with_scores=self._with_scores)

    def missing(self, request: CandidateList) -> CandidateList | None:
        """Return what has to be asked for a request: all of it, the rest, or None where all is
        known.
        """
        by_pair = self.cache.by_pair
        keys = None
        if by_pair is not None:
            keys = pair_keys(request)
        if by_pair is None or keys is None:
            return self._missing_by_list(request)
        rows = self._rows(by_pair, request, keys)
        unknown = (rows.slots == ABSENT).nonzero()[0].tolist()
        if not self._merges_calls and (unknown or len(set(rows.entries.tolist())) > 1):
            # scores of one request hold for any part of it, and not next to those of another
            unknown = list(range(len(keys)))
        if not unknown:
            self._complete(request.query_id, rows)
            return None
        self._open[request.query_id] = keys
        rest = part_of_list(request, unknown)
        key = self._key(rest)
        self._asked[request.query_id] = key
        self.pairs[key] = keys[unknown]
        return rest

    def scores(self, query_id: str) -> Scores | None:
        """Return the scores of a request; None where the cache does not have them. Of one that is
        answered by pair, those that `missing` has found just before, or that were asked since.
        """
        by_pair = self.cache.by_pair
        if by_pair is None or query_id in self._list_keys:
            return self.cache.get(self._list_keys[query_id])
        if query_id in self._open:
            rows = by_pair.table.find(self._open[query_id])
            if not rows.is_complete:
                return None
            del self._open[query_id]
            self._complete(query_id, rows)
        latest, rows = self._latest
        if latest != query_id:
            return None
        return rows.scores

    def is_since(self, query_id: str, began: int) -> bool:
        """Return whether all scores of a complete query were written at this time or later."""
        if query_id in self._list_keys:
            return self.cache.written(self._list_keys[query_id]) >= began
        return self._written.get(query_id, -1) >= began

    def add_cost(self, result: Scored) -> None:
        """Add what the scores of the pass cost when they were bought."""
        cache = self.cache
        result.usage = cache.usage(self._list_keys.values())
        for query_id, key in self._list_keys.items():
            if own := cache.own_usage(key):
                result.usage_by_query[query_id] = own
        result.usage = added(result.usage, self._used.total())
        result.usage_by_query |= self._own_usage
        if self._shared_pairs:
            result.pairs += PairCounts(shared=self._shared_pairs)
            result.shared_usage = self._shared.total()

    def _missing_by_list(self, request: CandidateList) -> CandidateList | None:
        key = self._list_keys.get(request.query_id) or self._key(request)
        self._list_keys[request.query_id] = self._asked[request.query_id] = key
        scores = self.cache.get(key)
        if scores is None or len(scores) != len(request.docs):
            return request
        return None

    def _rows(self, by_pair: EntryPairs, request: CandidateList, keys: Keys) -> PairRows:
        """Return the rows of the pairs, those of an entry that was kept by its list among them."""
        rows = by_pair.table.find(keys)
        if rows.is_complete or not self.cache.has_lists:
            return rows
        key = self._key(request)
        scores = self.cache.get(key)
        if scores is None or len(scores) != len(keys):
            return rows
        self.cache.learn(key, keys)
        return by_pair.table.find(keys)

    def _complete(self, query_id: str, rows: PairRows) -> None:
        """Take down what a query's pairs cost, and which of them were asked for before."""
        self._latest = (query_id, rows)
        self._written[query_id] = int(rows.written.min(initial=LATEST))
        before = self._entries.asked_before(rows)
        self._shared_pairs += len(before.slots)
        self._used.add(rows)
        self._shared.add(before)
        own = self._used.own_of(rows)
        if own:
            self._own_usage[query_id] = own


def part_of_list(request: CandidateList, places: Sequence[int]) -> CandidateList:
    """Return the documents of a request at these places; the request where these are all."""
    if len(places) == len(request.doc_ids):
        return request
    scores: list[float] = []
    if len(request.scores):
        scores = [request.scores[place] for place in places]
    return picked(request, [request.doc_ids[place] for place in places], scores)
