"""What a reranker answers to the lists of a probe, without the score cache."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import TYPE_CHECKING

from bench.contract.meter import Meter
from bench.contract.request import CandidateList, Failure
from bench.contract.stage import Reranker
from bench.probes.base import Probe, ProbedQuery, Variant
from bench.scoring.job import checked

if TYPE_CHECKING:
    from bench.contract.request import Scores


@dataclass(frozen=True)
class Answers:
    """The variants that fit the queries, by query id, with the scores of each list. `failures` has
    the reason of each query of which a list was not answered.
    """

    variants: dict[str, Variant] = field(default_factory=dict)
    scores: dict[str, list[Scores]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)


def variants_of(probe: Probe, queries: Sequence[ProbedQuery]) -> dict[str, Variant]:
    """Return query id -> the lists of a probe, for the queries that it fits."""
    variants: dict[str, Variant] = {}
    for query in queries:
        variant = probe.variant(query)
        if variant is not None:
            variants[query.request.query_id] = variant
    return variants


def answers(reranker: Reranker, variants: dict[str, Variant], *, apart: bool = False) -> Answers:
    """Return the scores of all lists from one call of a loaded reranker, or with `apart` from a
    call per list. Raises RerankerError for what no further list could survive.
    """
    lists = all_lists(variants)
    calls = [[each] for each in lists] if apart else [lists]
    outcomes = chain.from_iterable(checked(reranker, call, Meter()) for call in calls)
    result = Answers(variants)
    for query_id, variant in variants.items():
        own = list(islice(outcomes, len(variant.lists)))
        reasons = [outcome.reason for outcome in own if isinstance(outcome, Failure)]
        if reasons:
            result.failures[query_id] = reasons[0]
        else:
            result.scores[query_id] = [
                outcome for outcome in own if not isinstance(outcome, Failure)
            ]
    return result


def all_lists(variants: dict[str, Variant]) -> list[CandidateList]:
    """Return the lists of all queries, one after the other."""
    lists: list[CandidateList] = []
    for variant in variants.values():
        lists += variant.lists
    return lists
