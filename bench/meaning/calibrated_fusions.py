"""Whether calibration helps a fusion: each fused row by calibrated scores next to the same sum of
z-scores, from the stored scores of the same parts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.contract.identity import Fields
from bench.quality import measures, statistics
from bench.quality.statistics import Difference
from bench.ranking.fusion import weighted_contributions
from bench.ranking.order import Ranking
from bench.records.judged_scores import Qrels, qrels_of
from bench.records.run import Run
from bench.records.schema import Record

if TYPE_CHECKING:
    from bench.contract.candidates import QueryCandidates

    Lists = Mapping[str, QueryCandidates]

FUSIONS = ("fuse", "blend")


@dataclass(frozen=True)
class FusionComparison:
    """A fused row by calibrated scores, and the same parts and weights by z-scores: means of the
    headline, and the paired difference, calibrated less z-score. `problem` says what the run does
    not hold to compare with.
    """

    record: Record
    measure: str
    calibrated: float
    z_score: float | None = None
    difference: Difference | None = None
    problem: str = ""


def calibrated_fusions(run: Run) -> list[FusionComparison]:
    """Return a comparison per row that fuses calibrated scores, in the suite's order."""
    comparisons: list[FusionComparison] = []
    for record in run.records.values():
        identity = record.description.get("identity") or {}
        is_fusion = record.description.get("backend") in FUSIONS
        if is_fusion and identity.get("norm") == "calibrated" and not record.mostly_failed:
            comparisons.append(_comparison(run, record, identity))
    return comparisons


def _comparison(run: Run, record: Record, identity: Fields) -> FusionComparison:
    measure = next(iter(record.quality))
    own = run.values(record.trial.id, measure)
    plain = FusionComparison(record, measure, own.mean)
    weights = _weights(identity)
    if weights is None:
        return _without(plain, "its weights are tuned on calibrated scores")
    lists = list(_parts(run, record, identity))
    if len(lists) < len(weights):
        return _without(plain, "the run does not keep the scores of each of its parts as a row")
    qrels = qrels_of(run, record.trial.dataset)
    values = _z_scores(lists, weights, {query: qrels.get(query, {}) for query in own}, record)
    others = [values[query] for query in own]
    difference = statistics.difference(list(own.values()), others, run.seed)
    mean = sum(others) / max(1, len(others))
    return FusionComparison(record, measure, own.mean, mean, difference)


def _without(plain: FusionComparison, problem: str) -> FusionComparison:
    return FusionComparison(plain.record, plain.measure, plain.calibrated, problem=problem)


def _weights(identity: Fields) -> Sequence[float] | None:
    """Return the weights of the parts, the stage before the last; None for tuned ones."""
    if "weight" in identity:
        weight = identity["weight"]
        return None if isinstance(weight, str) else (weight, 1 - weight)
    weights = identity.get("weights")
    if isinstance(weights, str):
        return None
    return weights or (1.0,) * len(identity["parts"])


def _parts(run: Run, record: Record, identity: Fields) -> Iterator[Lists]:
    """Yield the scores of the rows that are the parts, and of a blend those of the first stage."""
    wanted: list[Any] = list(identity["parts"])
    place = _place(record)
    rows = [other for other in run.records.values() if _place(other) == place]
    for part in wanted:
        for other in rows:
            description = other.description
            fields = {
                "backend": description.get("backend"),
                **(description.get("identity") or {}),
            }
            lists = run.scores_of(other.trial.id)
            if fields == part and lists:
                yield lists
                break
    if "weight" in identity:
        for other in rows:
            if other.trial.is_first_stage:
                yield run.scores_of(other.trial.id)


def _place(record: Record) -> tuple[str, str, int]:
    return record.trial.dataset, record.trial.first_stage, record.trial.depth


def _z_scores(
    lists: Sequence[Lists], weights: Sequence[float], qrels: Qrels, record: Record
) -> Mapping[str, float]:
    """Return the headline of each query by the sum of z-scores; 0 where a part has no scores."""
    rankings: dict[str, Ranking] = {}
    for query_id in qrels:
        parts = [own[query_id] for own in lists if query_id in own]
        if len(parts) == len(lists):
            order = weighted_contributions(parts, "z-score").ranking(weights)
            rankings[query_id] = Ranking(order.doc_ids, order.scores)
    name = next(iter(record.quality))
    threshold = record.dataset.get("min_relevance", 1)
    return measures.evaluate(rankings, qrels, [name], threshold)[name]
