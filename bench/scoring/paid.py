"""Answers of a service that reach the cache while the rest of their chunk is still asked for."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from bench.contract.meter import Meter
from bench.contract.request import CandidateList, Usage
from bench.contract.scored import Amounts
from bench.contract.stage import Reranker
from bench.core.errors import RerankerError
from bench.rerankers.description import described
from bench.scoring.cache import ScoreCache

if TYPE_CHECKING:
    from bench.contract.request import Scores
    from bench.scoring.pairs import Keys

ANSWERS_AT_RISK = 4
SECONDS_AT_RISK = 0.5
"""Answers of a service are kept when there are this many, or after this time."""


def amounts_of(meter: Meter, known: Mapping[str, str]) -> tuple[Amounts, dict[str, Amounts]]:
    """Return what a run has used: in all, and, as far as it is known, by the key of a request or
    else its query id.
    """
    own = {known.get(query_id, query_id): asdict(usage) for query_id, usage in by_query(meter)}
    return asdict(meter.usage), own


def by_query(meter: Meter) -> list[tuple[str, Usage]]:
    """Return what each query has used, read at once: a service's threads may still count."""
    return list(meter.by_query.items())


class PaidAnswers:
    """Keeps answers as they come, so that a kill loses the few in flight. The file of the finished
    chunk takes the place of theirs.
    """

    def __init__(
        self,
        reranker: Reranker,
        known: Mapping[str, str],
        cache: ScoreCache | None,
        pairs: Mapping[str, Keys],
    ) -> None:
        """`known` are the cache's keys by query, `pairs` those of pairs by key."""
        self.meter = Meter()
        if cache is not None:
            self.meter = Meter(on_answer=self._take)
        self._reranker = reranker
        self._known = known
        self._cache, self._pairs = cache, pairs
        self._waiting: dict[str, Scores] = {}
        self._scores: dict[str, Scores] = {}
        self._files: list[Path] = []
        self._written_at = time.monotonic()

    def keep_what_came(self) -> None:
        """Keep the answers that came before the rest of their chunk failed."""
        self._scores |= self._waiting
        if self._cache is None or not self._scores:
            return
        if _has_changed(self._reranker):
            self.dropped()
            return
        usage, own = amounts_of(self.meter, self._known)
        self._cache.describe(described(self._reranker))
        self.replaced_by(self._cache.put(self._scores, usage, own, pairs=self._pairs))

    def replaced_by(self, file: Path | None) -> None:
        """Remove the files of single answers: `file` holds them all. Where it could not be written,
        they stay.
        """
        if file is not None:
            self.dropped(file)

    def dropped(self, file: Path | None = None) -> None:
        """Remove the files of single answers, but for `file`."""
        for path in self._files:
            if path != file:
                with suppress(OSError):
                    path.unlink()
        self._files = []

    def _take(self, request: CandidateList, scores: Scores) -> None:
        """Take one answer, and keep those that wait where there are some or it has been a while."""
        self._waiting[self._known[request.query_id]] = scores
        now = time.monotonic()
        if len(self._waiting) >= ANSWERS_AT_RISK or now - self._written_at >= SECONDS_AT_RISK:
            self._written_at = now
            self._keep_waiting()

    def _keep_waiting(self) -> None:
        if self._cache is None:
            return
        answers = self._waiting
        self._waiting = {}
        self._scores |= answers
        costs = {self._known[query]: asdict(usage) for query, usage in by_query(self.meter)}
        own = {key: amounts for key, amounts in costs.items() if key in answers}
        usage: Amounts = {}
        for amounts in own.values():
            for name, amount in amounts.items():
                usage[name] = usage.get(name, 0) + amount
        if not self._files:
            self._cache.describe(described(self._reranker))
        file = self._cache.put(answers, usage, own, pairs=self._pairs)
        if file:
            self._files.append(file)


def _has_changed(reranker: Reranker) -> bool:
    """Return whether something else answers by now than what the cache is named after. A server
    that died was the same until then.
    """
    try:
        reranker.doubt()
    except RerankerError:
        return True
    return False
