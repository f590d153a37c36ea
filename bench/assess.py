"""From scores to a record's quality: rank once, measure per query, estimate, compare with the first stage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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

PerQuery = Mapping[str, Mapping[str, float]]


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


@dataclass(frozen=True)
class Assessed:
    """One trial's rankings, its per-query values {measure: {query_id: value}}, their estimates and counts."""

    rankings: Mapping[str, Ranking]
    per_query: PerQuery
    estimates: Mapping[str, Estimate]
    counts: Counts


def assess(scored: Scored, questions: Questions, seed: int) -> Assessed:
    """Rank by the tie rule and measure. Raises RerankerError for a score that cannot be ranked."""
    rankings: dict[str, Ranking] = {}
    for request in questions.requests:
        if request.query_id in scored.scores:
            try:
                rankings[request.query_id] = rank(request.doc_ids, scored.scores[request.query_id])
            except ValueError as error:
                raise RerankerError(f"query '{request.query_id}': {error}") from error
    per_query = quality.evaluate(rankings, questions.qrels, questions.measures, questions.dataset.min_relevance)
    estimates = {name: stats.estimate([values[query_id] for query_id in questions.query_ids], seed) for name, values in per_query.items()}
    return Assessed(rankings, per_query, estimates, _count(rankings, scored, questions))


def differences(new: PerQuery, old: PerQuery, query_ids: Sequence[str], seed: int) -> dict[str, Difference]:
    """Per measure, the paired difference new - old over the same queries."""
    return {name: stats.difference([new[name][q] for q in query_ids], [old[name][q] for q in query_ids], seed) for name in new}


def _count(rankings: Mapping[str, Ranking], scored: Scored, questions: Questions) -> Counts:
    threshold = questions.dataset.min_relevance
    return Counts(
        queries=len(questions.query_ids),
        unjudged_queries=sum(query_id not in questions.dataset.qrels for query_id in questions.dataset.queries),
        without_relevant=sum(all(grade < threshold for grade in grades.values()) for grades in questions.qrels.values()),
        without_candidates=len(questions.query_ids) - len(questions.requests),
        failed=len(scored.failures),
        pairs=sum(len(ranking.doc_ids) for ranking in rankings.values()),
        ties=sum(ranking.ties for ranking in rankings.values()),
    )
