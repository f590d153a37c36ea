"""The quality pass: many requests at once, in chunks that reach the disk as they finish.

Chunks are cut from the whole list of requests, cached or not, so that a resumed run batches the same texts together as an undisturbed
one and gets the same bits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from bench.errors import RerankerError
from bench.rerankers.base import Failure, Request, Reranker
from bench.scoring.cache import Amounts, ScoreCache, request_key

if TYPE_CHECKING:
    from bench.rerankers.base import Scores


@dataclass
class Scored:
    """What the quality pass gives: scores per query, failed queries with their reasons, how much came from the cache, and what it cost:
    in all, and by query where the reranker can tell."""

    scores: dict[str, Scores] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    cached_queries: int = 0
    computed_queries: int = 0
    description: dict[str, Any] = field(default_factory=dict)
    usage: Amounts = field(default_factory=dict)
    usage_by_query: dict[str, Amounts] = field(default_factory=dict)


def score(
    reranker: Reranker,
    requests: Sequence[Request],
    *,
    chunk_pairs: int,
    fresh: bool = False,
    on_progress: Callable[[int], None] = lambda pairs: None,
) -> Scored:
    """Score every request, from the cache where it can. `on_progress` is told the pairs that became ready.

    Raises RerankerError when the reranker breaks its contract (wrong count, non-finite score) or its service refuses for good; finished
    chunks stay cached, and so do the answers that a service gave before.
    """
    fingerprint = reranker.fingerprint()
    cache = ScoreCache(fingerprint, fresh=fresh) if fingerprint else None
    result = Scored()
    keys: dict[str, str] = {}
    for chunk in chunks(requests, chunk_pairs):
        known = {request.query_id: request_key(request) for request in chunk} if cache else {}
        keys |= known
        missing = []
        for request in chunk:
            found = cache.get(known[request.query_id]) if cache else None
            if found is None:
                missing.append(request)
            else:
                result.scores[request.query_id] = found
                result.cached_queries += 1
        if missing:
            _score_missing(reranker, missing, known, cache, result)
        on_progress(sum(len(request.docs) for request in chunk))
    if cache:
        result.usage = cache.usage(keys.values())  # what the scores cost when they were bought, cached ones included
        told = {query_id: cache.own_usage(key) for query_id, key in keys.items()}
        result.usage_by_query = {query_id: amounts for query_id, amounts in told.items() if amounts}
        result.description = cache.description or {}
    if not result.description:
        reranker.load()
        result.description = reranker.describe().to_dict()
    return result


def _score_missing(
    reranker: Reranker, missing: Sequence[Request], known: Mapping[str, str], cache: ScoreCache | None, result: Scored
) -> None:
    reranker.load()
    try:
        outcomes = checked(reranker, missing)
    except BaseException:
        if cache:
            _keep_answered(reranker, known, cache)
        raise
    usage, own = _taken(reranker, known)
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
            result.description = reranker.describe().to_dict()
            cache.describe(result.description)
        cache.put(fresh_scores, usage, own)


def _taken(reranker: Reranker, known: Mapping[str, str]) -> tuple[Amounts, dict[str, Amounts]]:
    """What the reranker has cost since it was last asked: in all, and, as far as it tells, by the key of a request or else its query id."""
    by_query = getattr(reranker, "usage_by_query", {}).items()  # read first: taking the usage empties it
    own = {known.get(query_id, query_id): asdict(usage) for query_id, usage in by_query}
    return asdict(reranker.take_usage()), own


def _keep_answered(reranker: Reranker, known: Mapping[str, str], cache: ScoreCache) -> None:
    """A service that died, or a person who interrupted: what was answered and paid for before goes to the cache."""
    usage, own = _taken(reranker, known)
    take: Any = getattr(reranker, "take_answered", list)
    answered = {known[request.query_id]: scores for request, scores in take()}
    if answered:
        cache.describe(reranker.describe().to_dict())
        cache.put(answered, usage, own)


def checked(reranker: Reranker, requests: Sequence[Request]) -> list[Scores | Failure]:
    """The reranker's answer, held to its contract: an answer per request, a finite number per document."""
    import numpy as np

    outcomes = reranker.rerank(requests)
    if len(outcomes) != len(requests):
        raise RerankerError(f"the reranker answered {len(outcomes)} of {len(requests)} requests")
    answers: list[Scores | Failure] = []
    for request, outcome in zip(requests, outcomes, strict=True):
        if isinstance(outcome, Failure):
            answers.append(outcome)
            continue
        scores = np.asarray(outcome, dtype=np.float64)
        if scores.shape != (len(request.docs),):
            raise RerankerError(f"query '{request.query_id}': scores of shape {scores.shape} for {len(request.docs)} documents")
        if not np.isfinite(scores).all():
            where = request.doc_ids[int(np.flatnonzero(~np.isfinite(scores))[0])]
            raise RerankerError(f"query '{request.query_id}': the score of document '{where}' is not finite")
        answers.append(scores)
    return answers


def chunks(requests: Sequence[Request], pairs: int) -> Iterator[list[Request]]:
    """Consecutive requests of at most `pairs` pairs together, and at least one request each."""
    chunk: list[Request] = []
    size = 0
    for request in requests:
        if chunk and size + len(request.docs) > pairs:
            yield chunk
            chunk, size = [], 0
        chunk.append(request)
        size += len(request.docs)
    if chunk:
        yield chunk
