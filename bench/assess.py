"""From scores to a record's quality: rank once, measure per query, estimate, compare with the first stage."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from bench.errors import RerankerError
from bench.measure import quality, stats
from bench.measure.ranking import Ranking, rank
from bench.measure.stats import Difference, Estimate
from bench.records.schema import Counts

if TYPE_CHECKING:
    from bench.datasets.base import Dataset
    from bench.rerankers.base import Request
    from bench.scoring.engine import Scored

    Keep = Callable[[Mapping[str, Ranking], "Questions"], None]

PerQuery = Mapping[str, Mapping[str, float]]
AT_ONCE = 512
"""Queries whose rankings are in memory together."""


@dataclass(frozen=True)
class Questions:
    """What every trial of a group is asked: the judged queries, and a request for each that has candidates."""

    dataset: Dataset
    query_ids: Sequence[str]
    requests: Sequence[Request]
    measures: Sequence[str]

    @cached_property
    def qrels(self) -> dict[str, Mapping[str, int]]:
        return {query_id: self.dataset.qrels[query_id] for query_id in self.query_ids}

    def parts(self, size: int = AT_ONCE) -> Iterator[Questions]:
        """The same questions, `size` queries at a time. Requests stand in the order of the queries."""
        at = 0
        for start in range(0, len(self.query_ids), size):
            query_ids = self.query_ids[start : start + size]
            wanted = set(query_ids)
            requests = [request for request in self.requests[at : at + size] if request.query_id in wanted]
            at += len(requests)
            yield Questions(self.dataset, query_ids, requests, self.measures)


@dataclass(frozen=True)
class Assessed:
    """One trial's per-query values {measure: {query_id: value}}, their estimates and counts."""

    per_query: PerQuery
    estimates: Mapping[str, Estimate]
    counts: Counts


def assess(scored: Scored, questions: Questions, seed: int, keep: Keep = lambda rankings, part: None) -> Assessed:
    """Rank by the tie rule and measure, some queries at a time: `keep` is given their rankings with their part of the questions, and
    nothing else holds on to them. Raises RerankerError for a score that cannot be ranked."""
    per_query: dict[str, dict[str, float]] = {}
    pairs = ties = beyond = 0
    for part in questions.parts():
        rankings = _ranked(scored, part)
        for name, values in quality.evaluate(rankings, part.qrels, part.measures, part.dataset.min_relevance).items():
            per_query.setdefault(name, {}).update(values)
        pairs += sum(len(ranking.doc_ids) for ranking in rankings.values())
        ties += sum(ranking.ties for ranking in rankings.values())
        beyond += sum(ranking.beyond for ranking in rankings.values())
        keep(rankings, part)
    estimates = {name: stats.estimate([values[query_id] for query_id in questions.query_ids], seed) for name, values in per_query.items()}
    return Assessed(per_query, estimates, _count(scored, questions, pairs, ties, beyond))


def _ranked(scored: Scored, part: Questions) -> dict[str, Ranking]:
    rankings: dict[str, Ranking] = {}
    for request in part.requests:
        if request.query_id in scored.scores:
            try:
                rankings[request.query_id] = rank(request.doc_ids, scored.scores[request.query_id])
            except ValueError as error:
                raise RerankerError(f"query '{request.query_id}': {error}") from error
    return rankings


def differences(new: PerQuery, old: PerQuery, query_ids: Sequence[str], seed: int) -> dict[str, Difference]:
    """Per measure, the paired difference new - old over the same queries."""
    return {name: stats.difference([new[name][q] for q in query_ids], [old[name][q] for q in query_ids], seed) for name in new}


def _count(scored: Scored, questions: Questions, pairs: int, ties: int, beyond: int) -> Counts:
    threshold = questions.dataset.min_relevance
    return Counts(
        queries=len(questions.query_ids),
        unjudged_queries=sum(query_id not in questions.dataset.qrels for query_id in questions.dataset.queries),
        without_relevant=sum(all(grade < threshold for grade in grades.values()) for grades in questions.qrels.values()),
        without_candidates=len(questions.query_ids) - len(questions.requests),
        failed=len(scored.failures),
        pairs=pairs,
        ties=ties,
        beyond_single_precision=beyond,
    )
