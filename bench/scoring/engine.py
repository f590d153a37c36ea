"""The quality pass: many requests at once, in chunks that reach the disk as they finish.

Chunks are cut from the whole list of requests, cached or not, so that a resumed run batches the
same texts together as an undisturbed one and gets the same bits. An executor says where the work is
done; the score cache is read and written here.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.contract.identity import Fields
from bench.contract.meter import Meter
from bench.contract.recipe import Recipe
from bench.contract.request import CandidateList, Failure, Usage
from bench.contract.scored import Amounts, Scored
from bench.contract.stage import Component, Reranker
from bench.core.errors import RerankerError
from bench.core.note import Note
from bench.scoring.cache import ScoreCache, request_key
from bench.scoring.composite import combined
from bench.scoring.contract import held_to_contract
from bench.scoring.description import described, identified
from bench.scoring.executors.base import Executor
from bench.scoring.executors.here import Here
from bench.scoring.job import Answer, Job

if TYPE_CHECKING:
    from bench.contract.request import Scores

ANSWERS_AT_RISK = 4
SECONDS_AT_RISK = 0.5
"""Answers of a service are kept when there are this many, or after this time."""
HERE = Here("here", Here.Options())


def score(
    reranker: Reranker,
    requests: Sequence[CandidateList],
    *,
    chunk_pairs: int,
    fresh: bool = False,
    on_progress: Callable[[int], None] = lambda pairs: None,
    on_note: Callable[[Note], None] = lambda note: None,
    executor: Executor = HERE,
    recipe: Recipe | None = None,
) -> Scored:
    """Score every request, from the cache where it can. `on_progress` gets the pairs that became
    ready, `on_note` at once what is wrong with the cache. `executor` does the work, where it can do
    that of this reranker; an order that is given is read here. `recipe` is how another process
    builds the same reranker.

    Raises RerankerError when the reranker or the executor breaks its contract (wrong count,
    non-finite score, a job without an answer) or its service refuses for good; finished chunks stay
    cached, and so do the answers that a service gave before. A reranker that is made of others is
    scored part by part, and keeps nothing of its own.
    """
    if reranker.parts:

        def score_part(part: Component, lists: Sequence[CandidateList]) -> Scored:
            return score(
                part.reranker,
                lists,
                chunk_pairs=chunk_pairs,
                fresh=fresh,
                on_progress=on_progress,
                on_note=lambda about: on_note(about.at(part.name)),
                executor=executor,
                recipe=part.recipe,
            )

        with reranker.prepared(requests):
            return combined(reranker, requests, score_part)
    is_reference = reranker.is_given or reranker.placement == "none"
    if is_reference or not executor.serves(reranker, recipe):
        executor = HERE
    # what is trained is known by its training: it comes before the cache is opened
    with reranker.prepared(requests):
        quality_pass = _QualityPass(reranker, fresh, on_progress, on_note)
        return quality_pass.run(chunks(requests, chunk_pairs), executor, recipe)


class _QualityPass:
    """Takes jobs out of the gaps of the cache, and answers into it."""

    def __init__(
        self,
        reranker: Reranker,
        fresh: bool,
        on_progress: Callable[[int], None],
        on_note: Callable[[Note], None],
    ) -> None:
        self.reranker = reranker
        self.on_progress = on_progress
        self.on_note = on_note
        self.result = Scored()
        self.cache: ScoreCache | None = None
        fingerprint = identified(reranker)
        if fingerprint:
            self.cache = ScoreCache(fingerprint, fresh=fresh)
        self.keys: dict[str, str] = {}
        """Query id -> key of the cache, of all requests that were looked up."""
        self.at_work: list[_PaidJob] = []
        self.delayed: list[Sequence[CandidateList]] = []
        self.loaded: Fields | None = None
        """What an executor has loaded in another process."""

    def run(
        self,
        pending: Iterable[Sequence[CandidateList]],
        executor: Executor,
        recipe: Recipe | None,
    ) -> Scored:
        self._note_problems()
        if self.cache is None:
            self._note(self.reranker.doubt())
        order: dict[str, None] = {}
        while pending:
            self.delayed = []
            self._work(_seen(pending, order), executor, recipe)
            pending = self.delayed
        result = self.result
        result.scores = {name: result.scores[name] for name in order if name in result.scores}
        result.failures = {name: result.failures[name] for name in order if name in result.failures}
        self._finish()
        if executor.distributes:
            result.executor = executor.name
        return result

    def _work(
        self, pending: Iterable[Sequence[CandidateList]], executor: Executor, recipe: Recipe | None
    ) -> None:
        """Have the executor do the jobs of these chunks. Where it raises (a service that died, a
        person who interrupted), what was paid for is kept.
        """
        answers = held_to_contract(executor, self.reranker, recipe, self._jobs(pending))
        try:
            with closing(answers):
                for job, answer in answers:
                    self._take(job, answer)
        except BaseException:
            for paid in self.at_work:
                paid.answers.keep_what_came()
            raise
        finally:
            self._note_problems()

    def _jobs(self, pending: Iterable[Sequence[CandidateList]]) -> Iterator[Job]:
        """Yield a job for what the cache lacks of each chunk. A chunk that shares a request with
        one at work waits for it: it will find the scores in the cache, wherever the work is done.
        """
        awaited: set[str] = set()
        for chunk in pending:
            keys = self._keys_of(chunk)
            busy = awaited.union(*(paid.job.keys.values() for paid in self.at_work))
            if not busy.isdisjoint(keys.values()):
                awaited |= set(keys.values())
                self.delayed.append(chunk)
                continue
            self.keys |= keys
            missing = self._missing(chunk, keys)
            if missing:
                answers = PaidAnswers(self.reranker, keys, self.cache)
                job = Job(missing, keys, answers.meter)
                self.at_work.append(_PaidJob(job, answers))
                yield job

    def _keys_of(self, chunk: Sequence[CandidateList]) -> dict[str, str]:
        if self.cache is None:
            return {}
        with_scores = self.reranker.reads_scores
        return {
            request.query_id: request_key(request, with_scores=with_scores) for request in chunk
        }

    def _missing(
        self, chunk: Sequence[CandidateList], keys: Mapping[str, str]
    ) -> list[CandidateList]:
        """Return the requests that have to be scored; take the scores of the others."""
        missing: list[CandidateList] = []
        ready = 0
        for request in chunk:
            scores = None
            if self.cache is not None:
                scores = self.cache.get(keys[request.query_id])
            if scores is None or len(scores) != len(request.docs):
                missing.append(request)
            else:
                self.result.scores[request.query_id] = scores
                self.result.cached.add(request.query_id)
                ready += len(request.docs)
        self.on_progress(ready)
        return missing

    def _take(self, job: Job, answer: Answer) -> None:
        """Take the answer of a job into the result and the cache."""
        result = self.result
        paid = next(paid for paid in self.at_work if paid.job is job)
        usage, own = _amounts(job.meter, job.keys)
        self._note(answer.note)
        if answer.description is not None:
            self.loaded = answer.description
        if self.cache is None:
            names = dict.fromkeys([*result.usage, *usage])
            result.usage = {name: result.usage.get(name, 0) + usage.get(name, 0) for name in names}
            result.usage_by_query |= own
        fresh_scores: dict[str, Scores] = {}
        for request, outcome in zip(job.requests, answer.outcomes, strict=True):
            if isinstance(outcome, Failure):
                result.failures[request.query_id] = outcome.reason
                continue
            result.scores[request.query_id] = outcome
            result.computed.add(request.query_id)
            if self.cache is not None:
                fresh_scores[job.keys[request.query_id]] = outcome
        if self.cache is not None and fresh_scores:
            if not result.description:
                result.description = self._description()
                self.cache.describe(result.description)
            self._note(answer.doubt)
            file = self.cache.put(fresh_scores, usage, own, keep=not answer.doubt)
            if answer.doubt:
                paid.answers.dropped()
            else:
                paid.answers.replaced_by(file)
        self.at_work.remove(paid)
        self._note_problems()
        self.on_progress(sum(len(request.docs) for request in job.requests))

    def _finish(self) -> None:
        """Add what the scores cost when they were bought, cached ones included, and what loaded."""
        result = self.result
        cache = self.cache
        if cache is not None:
            result.usage = cache.usage(self.keys.values())
            for query_id, key in self.keys.items():
                amounts = cache.own_usage(key)
                if amounts:
                    result.usage_by_query[query_id] = amounts
            result.description = cache.description or {}
        if not result.description:
            if self.loaded is None:
                self.reranker.load()
            result.description = self._description()
            if cache is not None and result.scores:
                cache.describe(result.description)

    def _description(self) -> Fields:
        """Return what has loaded, here or in another process."""
        if self.loaded is not None:
            return self.loaded
        return described(self.reranker)

    def _note_problems(self) -> None:
        if self.cache is not None:
            for problem in self.cache.problems:
                self._note(problem)

    def _note(self, problem: Note | None) -> None:
        """Say each problem once, when it is first met: what is wrong with the cache, or why scores
        are not kept.
        """
        if problem is not None and problem not in self.result.notes:
            self.result.notes.append(problem)
            self.on_note(problem)


@dataclass
class _PaidJob:
    """A job at work, with the answers of a service that reach the cache before it ends."""

    job: Job
    answers: PaidAnswers


def _seen(
    pending: Iterable[Sequence[CandidateList]], order: dict[str, None]
) -> Iterator[Sequence[CandidateList]]:
    """Yield the chunks, and add their queries to the order of the result."""
    for chunk in pending:
        for request in chunk:
            order.setdefault(request.query_id)
        yield chunk


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

    def __init__(
        self, reranker: Reranker, known: Mapping[str, str], cache: ScoreCache | None
    ) -> None:
        self.meter = Meter()
        if cache is not None:
            self.meter = Meter(on_answer=self._take)
        self._reranker = reranker
        self._known = known
        self._cache = cache
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
        usage, own = _amounts(self.meter, self._known)
        self._cache.describe(described(self._reranker))
        self.replaced_by(self._cache.put(self._scores, usage, own))

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
        file = self._cache.put(answers, usage, own)
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


def chunks(requests: Sequence[CandidateList], pairs: int) -> Iterator[list[CandidateList]]:
    """Yield consecutive requests of at most `pairs` pairs together, at least one request each."""
    chunk: list[CandidateList] = []
    size = 0
    for request in requests:
        if chunk and size + len(request.docs) > pairs:
            yield chunk
            chunk = []
            size = 0
        chunk.append(request)
        size += len(request.docs)
    if chunk:
        yield chunk
