"""From scores to a record's quality: rank once, measure per query, estimate, compare with the first
stage.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import Field

from bench.core.errors import RerankerError
from bench.core.options import Options
from bench.quality import measures as quality
from bench.quality import statistics
from bench.quality.query_values import QueryValues
from bench.quality.questions import Questions
from bench.quality.statistics import Difference, Estimate
from bench.ranking.order import Ranking, rank

if TYPE_CHECKING:
    from bench.contract.scored import Scored

    Keep = Callable[[Mapping[str, Ranking], "Questions"], None]

PerQuery = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class Assessed:
    """One trial's per-query values {measure: {query_id: value}}, their estimates and counts."""

    per_query: PerQuery
    estimates: Mapping[str, Estimate]
    counts: Counts


def assess(
    scored: Scored, questions: Questions, seed: int, keep: Keep = lambda rankings, part: None
) -> Assessed:
    """Rank by the tie rule and measure, some queries at a time: `keep` is given their rankings with
    their part of the questions, and nothing else holds on to them. Raises RerankerError for a score
    that cannot be ranked.
    """
    arrays: dict[str, array[float]] = {}
    pairs = ties = beyond = 0
    for part in questions.parts():
        rankings = _ranked(scored, part)
        values_of = quality.evaluate(
            rankings, part.qrels, part.measures, part.dataset.min_relevance
        )
        for name, by_query in values_of.items():
            arrays.setdefault(name, array("d")).extend(by_query.values())
        pairs += sum(len(ranking.doc_ids) for ranking in rankings.values())
        ties += sum(ranking.ties for ranking in rankings.values())
        beyond += sum(ranking.beyond for ranking in rankings.values())
        keep(rankings, part)
    per_query: dict[str, QueryValues] = {}
    estimates: dict[str, Estimate] = {}
    for name, values in arrays.items():
        per_query[name] = QueryValues(questions.places, values)
        estimates[name] = statistics.estimate(values, seed)
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


def differences(
    new: PerQuery, old: PerQuery, query_ids: Sequence[str], seed: int
) -> dict[str, Difference]:
    """Per measure, the paired difference new - old over the same queries."""
    return {
        name: statistics.difference(
            [new[name][q] for q in query_ids], [old[name][q] for q in query_ids], seed
        )
        for name in new
    }


def _count(scored: Scored, questions: Questions, pairs: int, ties: int, beyond: int) -> Counts:
    threshold = questions.dataset.min_relevance
    return Counts(
        queries=len(questions.query_ids),
        unjudged_queries=sum(
            query_id not in questions.dataset.qrels for query_id in questions.dataset.queries
        ),
        without_relevant=sum(
            all(grade < threshold for grade in grades.values())
            for grades in questions.qrels.values()
        ),
        without_candidates=len(questions.query_ids) - len(questions.requests),
        failed=len(scored.failures),
        pairs=pairs,
        ties=ties,
        beyond_single_precision=beyond,
    )


class Counts(Options):
    """What the reader of an aggregate should know about its queries and documents."""

    queries: int = Field(ge=0, description="queries in the aggregate: all with a judgment")
    unjudged_queries: int = Field(ge=0, description="queries without judgments, left out")
    without_relevant: int = Field(
        ge=0, description="queries with judgments but no relevant document: they can only score 0"
    )
    without_candidates: int = Field(
        ge=0, description="queries for which the first stage found nothing: they score 0"
    )
    failed: int = Field(ge=0, description="queries whose call failed: they score 0")
    pairs: int = Field(ge=0, description="query-document pairs ranked")
    ties: int = Field(
        ge=0, description="documents that share their score with another of the same query"
    )
    beyond_single_precision: int = Field(
        0,
        ge=0,
        description="scores too large for it: the run file holds the nearest that keep the order",
    )

    @property
    def called(self) -> int:
        """The queries that the reranker was called for: those with candidates."""
        return self.queries - self.without_candidates

    @property
    def failed_share(self) -> float:
        """The share of the called queries whose call failed, from 0 to 1."""
        return self.failed / self.called if self.called > 0 else 0.0
