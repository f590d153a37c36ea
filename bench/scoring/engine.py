"""The quality pass: many requests at once, in chunks that reach the disk as they finish.

Chunks are cut from the whole list of requests, cached or not, so that a resumed run batches the
same texts together as an undisturbed one and gets the same bits.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.contract.meter import Meter
from bench.contract.request import CandidateList, Failure, Usage
from bench.contract.scored import Amounts, Scored
from bench.contract.stage import Reranker
from bench.core.counting import counted
from bench.core.errors import RerankerError
from bench.core.note import Note
from bench.core.options import at_default, deciding
from bench.core.plugins import is_ours, name_of
from bench.core.redaction import redacted
from bench.ranking.order import as_scores
from bench.rerankers.options import declared, shared
from bench.scoring.cache import ScoreCache, request_key

if TYPE_CHECKING:
    from bench.contract.request import Scores

ANSWERS_AT_RISK, SECONDS_AT_RISK = 4, 0.5
"""Answers of a service are kept when there are this many, or after this time."""


def score(
    reranker: Reranker,
    requests: Sequence[CandidateList],
    *,
    chunk_pairs: int,
    fresh: bool = False,
    on_progress: Callable[[int], None] = lambda pairs: None,
    on_note: Callable[[Note], None] = lambda note: None,
) -> Scored:
    """Score every request, from the cache where it can. `on_progress` is told the pairs that became
    ready, `on_note` at once what is wrong with the cache.

    Raises RerankerError when the reranker breaks its contract (wrong count, non-finite score) or
    its service refuses for good; finished chunks stay cached, and so do the answers that a service
    gave before.
    """
    fingerprint = identified(reranker)
    cache = ScoreCache(fingerprint, fresh=fresh) if fingerprint else None
    result = Scored()
    _note(cache.problems if cache else [], result, on_note)
    if cache is None:
        _note([reranker.doubt()], result, on_note)
    keys: dict[str, str] = {}
    for chunk in chunks(requests, chunk_pairs):
        known: dict[str, str] = {}
        if cache:
            known = {
                request.query_id: request_key(request, with_scores=reranker.reads_scores)
                for request in chunk
            }
        keys |= known
        missing = []
        for request in chunk:
            found = cache.get(known[request.query_id]) if cache else None
            if found is None or len(found) != len(request.docs):
                missing.append(request)
            else:
                result.scores[request.query_id] = found
                result.cached_queries += 1
        if missing:
            try:
                _score_missing(reranker, missing, known, cache, result, on_note)
            finally:
                _note(cache.problems if cache else [], result, on_note)
        on_progress(sum(len(request.docs) for request in chunk))
    if cache:
        result.usage = cache.usage(
            keys.values()
        )  # what the scores cost when they were bought, cached ones included
        told = {query_id: cache.own_usage(key) for query_id, key in keys.items()}
        result.usage_by_query = {query_id: amounts for query_id, amounts in told.items() if amounts}
        result.description = cache.description or {}
    if not result.description:
        reranker.load()
        result.description = described(reranker)
        if cache and result.scores:
            cache.describe(result.description)
    return result


def identified(reranker: Reranker) -> dict[str, Any]:
    """Return what decides a reranker's scores. An outsider's class says so without its name, which
    two of them may do alike, and may leave out an option; empty where nothing is worth caching.
    """
    fingerprint, kind = reranker.fingerprint(), reranker.origin
    if not fingerprint or is_ours(kind):
        return fingerprint
    return {"class": name_of(kind), **_options(reranker, defaults=True), **fingerprint}


def _note(problems: Sequence[Note | None], result: Scored, on_note: Callable[[Note], None]) -> None:
    """Say each problem once, when it is first met: what is wrong with the cache, or why scores are
    not kept.
    """
    for problem in problems:
        if problem and problem not in result.notes:
            result.notes.append(problem)
            on_note(problem)


def _score_missing(
    reranker: Reranker,
    missing: Sequence[CandidateList],
    known: Mapping[str, str],
    cache: ScoreCache | None,
    result: Scored,
    on_note: Callable[[Note], None],
) -> None:
    reranker.load()
    paid = PaidAnswers(reranker, known, cache) if cache else None
    meter = paid.meter if paid else Meter()
    with paid.arriving() if paid else nullcontext():
        outcomes = checked(reranker, missing, meter)
        doubt = reranker.doubt() if cache else None
    usage, own = _amounts(meter, known)
    reranker.pause()
    if not cache:
        result.usage = {name: result.usage.get(name, 0) + value for name, value in usage.items()}
        result.usage_by_query |= own
    fresh_scores: dict[str, Scores] = {}
    for request, outcome in zip(missing, outcomes, strict=True):
        if isinstance(outcome, Failure):
            result.failures[request.query_id] = outcome.reason
        else:
            result.scores[request.query_id] = outcome
            result.computed_queries += 1
            if cache:
                fresh_scores[known[request.query_id]] = outcome
    if cache and fresh_scores:
        if not result.description:
            result.description = described(reranker)
            cache.describe(result.description)
        _note([doubt], result, on_note)
        file = cache.put(fresh_scores, usage, own, keep=not doubt)
        if paid:
            paid.dropped() if doubt else paid.replaced_by(file)


def _amounts(meter: Meter, known: Mapping[str, str]) -> tuple[Amounts, dict[str, Amounts]]:
    """Return what a run has used: in all, and, as far as it is known, by the key of a request or
    else its query id.
    """
    own = {known.get(query_id, query_id): asdict(usage) for query_id, usage in by_query(meter)}
    return asdict(meter.usage), own


def by_query(meter: Meter) -> list[tuple[str, Usage]]:
    """Return what each query has used, read at once: a service's threads may still count."""
    return list(meter.by_query.items())


class PaidAnswers:
    """The answers of a service that reach the cache while the rest of their chunk is still asked
    for: a kill loses the few in flight. The file of the finished chunk takes the place of theirs.
    """

    def __init__(self, reranker: Reranker, known: Mapping[str, str], cache: ScoreCache) -> None:
        self.meter = Meter(on_answer=self._take)
        self._reranker, self._known, self._cache = reranker, known, cache
        self._waiting: dict[str, Scores] = {}
        self._scores: dict[str, Scores] = {}
        self._files: list[Path] = []
        self._written_at = time.monotonic()

    @contextmanager
    def arriving(self) -> Iterator[None]:
        """While the block is at work, answers go to the cache every few requests. Where it raises
        (a service that died, a person who interrupted), so do all others that came."""
        try:
            yield
        except BaseException:
            self._scores |= self._waiting
            usage, own = _amounts(self.meter, self._known)
            if self._scores and _has_changed(self._reranker):
                self.dropped()
            elif self._scores:
                self._cache.describe(described(self._reranker))
                self.replaced_by(self._cache.put(self._scores, usage, own))
            raise

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
        answers, self._waiting = self._waiting, {}
        self._scores |= answers
        costs = {self._known[query]: asdict(usage) for query, usage in by_query(self.meter)}
        own = {key: amounts for key, amounts in costs.items() if key in answers}
        names = dict.fromkeys(name for amounts in own.values() for name in amounts)
        usage = {name: sum(amounts[name] for amounts in own.values()) for name in names}
        if not self._files:
            self._cache.describe(described(self._reranker))
        file = self._cache.put(answers, usage, own)
        if file:
            self._files.append(file)


def _has_changed(reranker: Reranker) -> bool:
    """Whether something else answers by now than what the cache is named after. One that died was
    the same until then.
    """
    try:
        reranker.doubt()
    except RerankerError:
        return True
    return False


def described(reranker: Reranker) -> dict[str, Any]:
    """Return what a loaded reranker says it is, as plain data without secrets: an outsider's may
    name a path, a number of numpy, a dtype, and the key that it was given.
    """
    description = reranker.describe().to_dict()
    if not is_ours(reranker.origin):
        options = _options(reranker, defaults=False)
        description["identity"] = {**options, **description["identity"]}
    plain: dict[str, Any] = redacted(json.loads(json.dumps(description, default=str)))
    return plain


def _options(reranker: Reranker, *, defaults: bool) -> dict[str, Any]:
    """Return the options of an outsider's class that decide scores, those at their default too
    where `defaults` says so: what it says of itself may leave one out. A path of this machine is
    not among them.
    """
    options = declared(reranker.options)
    values = deciding(options, "scores") | deciding(options, "scores", "arithmetic")
    left_out = set(shared(reranker.options).paths)
    if not defaults:
        left_out |= at_default(options)
    return {name: value for name, value in values.items() if name not in left_out}


def checked(
    reranker: Reranker, requests: Sequence[CandidateList], meter: Meter
) -> list[Scores | Failure]:
    """The reranker's answer, held to its contract: an answer per request, a finite number per
    document.
    """
    import numpy as np

    outcomes = reranker.score_lists(requests, meter)
    if len(outcomes) != len(requests):
        raise RerankerError(
            f"the reranker answered {len(outcomes)} of {counted(len(requests), 'request')}"
        )
    answers: list[Scores | Failure] = []
    for request, outcome in zip(requests, outcomes, strict=True):
        if isinstance(outcome, Failure):
            answers.append(outcome)
            continue
        try:
            scores = as_scores(outcome)
        except ValueError as error:
            raise RerankerError(f"query '{request.query_id}': {error}") from error
        if scores.shape != (len(request.docs),):
            raise RerankerError(
                f"query '{request.query_id}': scores of shape {scores.shape} for "
                f"{counted(len(request.docs), 'document')}"
            )
        if not np.isfinite(scores).all():
            where = request.doc_ids[int(np.flatnonzero(~np.isfinite(scores))[0])]
            raise RerankerError(
                f"query '{request.query_id}': the score of document '{where}' is not finite"
            )
        answers.append(scores)
    return answers


def chunks(requests: Sequence[CandidateList], pairs: int) -> Iterator[list[CandidateList]]:
    """Consecutive requests of at most `pairs` pairs together, and at least one request each."""
    chunk: list[CandidateList] = []
    size = 0
    for request in requests:
        if chunk and size + len(request.docs) > pairs:
            yield chunk
            chunk, size = [], 0
        chunk.append(request)
        size += len(request.docs)
    if chunk:
        yield chunk
