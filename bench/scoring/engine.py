"""The quality pass: many requests at once, in chunks that reach the disk as they finish.

Chunks are cut from the whole list of requests, cached or not, so that a resumed run batches the
same texts together as an undisturbed one and gets the same bits. Of a request of which the cache
knows some pairs, the others are asked. An executor says where the work is done; the score cache is
read and written here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bench.contract.identity import Fields
from bench.contract.recipe import Recipe
from bench.contract.request import CandidateList, Failure
from bench.contract.scored import Scored, ScoresByQuery, added
from bench.contract.stage import Component, Reranker
from bench.core.note import Note
from bench.rerankers.description import described, identified
from bench.scoring.cache import ScoreCache
from bench.scoring.composite import combined
from bench.scoring.contract import held_to_contract
from bench.scoring.executors.base import Executor
from bench.scoring.executors.here import Here
from bench.scoring.job import Answer, Job
from bench.scoring.known import KnownScores, ScoreCaches
from bench.scoring.paid import PaidAnswers, amounts_of

if TYPE_CHECKING:
    from bench.contract.request import Scores
    from bench.scoring.pairs import Keys

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
    caches: ScoreCaches | None = None,
) -> Scored:
    """Score every request, from the cache where it can. `on_progress` gets the pairs that became
    ready, `on_note` at once what is wrong with the cache. `caches` are those of the run, opened by
    `fresh`, or of this pass alone. `executor` does the work, where it can do
    that of this reranker; an order that is given is read here. `recipe` is how another process
    builds the same reranker.

    Raises RerankerError when the reranker or the executor breaks its contract (wrong count,
    non-finite score, a job without an answer) or its service refuses for good; finished chunks stay
    cached, and so do the answers that a service gave before. A reranker that is made of others is
    scored part by part, and keeps nothing of its own.
    """
    shared = caches or ScoreCaches(fresh=fresh)
    if reranker.parts:

        def score_part(part: Component, lists: Sequence[CandidateList]) -> Scored:
            return score(
                part.reranker,
                lists,
                chunk_pairs=chunk_pairs,
                caches=shared,
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
        quality_pass = _QualityPass(reranker, shared, on_progress, on_note)
        return quality_pass.run(chunks(requests, chunk_pairs), executor, recipe)


class _QualityPass:
    """Takes jobs out of the gaps of the cache, and answers into it."""

    def __init__(
        self,
        reranker: Reranker,
        caches: ScoreCaches,
        on_progress: Callable[[int], None],
        on_note: Callable[[Note], None],
    ) -> None:
        self.reranker = reranker
        self.on_progress = on_progress
        self.on_note = on_note
        self.scores = ScoresByQuery()
        self.result = Scored(scores=self.scores)
        self.began = caches.began
        self.known: KnownScores | None = None
        """None where no scores are cached."""
        fingerprint = identified(reranker)
        if fingerprint:
            self.known = KnownScores(caches.of(reranker, fingerprint), reranker)
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
        if self.known is None:
            self._note(self.reranker.doubt())
        order: dict[str, None] = {}
        while pending:
            self.delayed = []
            self._work(_seen(pending, order), executor, recipe)
            pending = self.delayed
        result = self.result
        self.scores.put_in_order(order)
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
        """Yield a job for what the cache lacks of each chunk. A chunk that may share scores with
        one at work waits for it: it will find them in the cache, wherever the work is done.
        """
        awaited: set[str] = set()
        for chunk in pending:
            topics: set[str] = set()
            if self.known is not None:
                topics = set(map(self.known.topic, chunk))
            if not topics.isdisjoint(awaited.union(*(paid.topics for paid in self.at_work))):
                awaited |= topics
                self.delayed.append(chunk)
                continue
            missing = self._missing(chunk)
            if missing:
                yield self._job(missing, topics)

    def _job(self, missing: Sequence[CandidateList], topics: set[str]) -> Job:
        keys: dict[str, str] = {}
        pairs: Mapping[str, Keys] = {}
        cache: ScoreCache | None = None
        if self.known is not None:
            pairs, cache = self.known.pairs, self.known.cache
            for request in missing:
                keys[request.query_id] = self.known.asked_key(request.query_id)
        answers = PaidAnswers(self.reranker, keys, cache, pairs)
        job = Job(missing, keys, answers.meter)
        self.at_work.append(_PaidJob(job, answers, topics))
        return job

    def _missing(self, chunk: Sequence[CandidateList]) -> list[CandidateList]:
        """Return what has to be scored of some requests; take the scores of the others."""
        if self.known is None:
            return list(chunk)
        missing: list[CandidateList] = []
        ready = 0
        for request in chunk:
            rest = self.known.missing(request)
            known = len(request.docs)
            if rest is not None:
                missing.append(rest)
                known -= len(rest.docs)
            else:
                self._use(self.known, request.query_id)
                self.result.cached.add(request.query_id)
                if self.known.is_since(request.query_id, self.began):
                    self.result.reused.add(request.query_id)
            self.result.pairs.cached += known
            ready += known
        self.known.cache.keep_learned()
        self.on_progress(ready)
        return missing

    def _use(self, known: KnownScores, query_id: str) -> None:
        """Take the scores of a query from the cache."""
        scores = known.scores(query_id)
        if scores is not None:
            self.result.scores[query_id] = scores

    def _take(self, job: Job, answer: Answer) -> None:
        """Take the answer of a job into the result and the cache."""
        result = self.result
        paid = next(paid for paid in self.at_work if paid.job is job)
        self._note(answer.note)
        if answer.description is not None:
            self.loaded = answer.description
        fresh_scores: dict[str, Scores] = {}
        for request, outcome in zip(job.requests, answer.outcomes, strict=True):
            if isinstance(outcome, Failure):
                result.failures[request.query_id] = outcome.reason
                continue
            result.scores[request.query_id] = outcome
            result.computed.add(request.query_id)
            result.pairs.computed += len(request.docs)
            fresh_scores[request.query_id] = outcome
        if self.known is None:
            usage, own = amounts_of(job.meter, job.keys)
            result.usage = added(result.usage, usage)
            result.usage_by_query |= own
        elif fresh_scores:
            self._keep(self.known, paid, fresh_scores, answer.doubt)
        self.at_work.remove(paid)
        self._note_problems()
        self.on_progress(sum(len(request.docs) for request in job.requests))

    def _keep(
        self, known: KnownScores, paid: _PaidJob, scores: Mapping[str, Scores], doubt: Note | None
    ) -> None:
        """Put the scores of a job into the cache, by query id, and take those of its lists."""
        if not self.result.description:
            self.result.description = self._description()
            known.cache.describe(self.result.description)
        self._note(doubt)
        keys = paid.job.keys
        usage, own = amounts_of(paid.job.meter, keys)
        by_key = {keys[query_id]: values for query_id, values in scores.items()}
        file = known.cache.put(by_key, usage, own, keep=not doubt, pairs=known.pairs)
        for query_id in scores:
            self._use(known, query_id)
        known.taken(by_key)
        if doubt:
            paid.answers.dropped()
        else:
            paid.answers.replaced_by(file)

    def _finish(self) -> None:
        """Add what the scores cost when they were bought, cached ones included, and what loaded."""
        result = self.result
        if self.known is not None:
            self.known.add_cost(result)
            result.description = self.known.cache.description or {}
        if not result.description:
            if self.loaded is None:
                self.reranker.load()
            result.description = self._description()
            if self.known is not None and result.scores:
                self.known.cache.describe(result.description)

    def _description(self) -> Fields:
        """Return what has loaded, here or in another process."""
        if self.loaded is not None:
            return self.loaded
        return described(self.reranker)

    def _note_problems(self) -> None:
        if self.known is not None:
            for problem in self.known.cache.problems:
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
    """A job at work, with the answers of a service that reach the cache before it ends, and the
    topics of its requests.
    """

    job: Job
    answers: PaidAnswers
    topics: set[str] = field(default_factory=set)


def _seen(
    pending: Iterable[Sequence[CandidateList]], order: dict[str, None]
) -> Iterator[Sequence[CandidateList]]:
    """Yield the chunks, and add their queries to the order of the result."""
    for chunk in pending:
        for request in chunk:
            order.setdefault(request.query_id)
        yield chunk


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
