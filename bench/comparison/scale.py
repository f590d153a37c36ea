"""How far the scales of two trials' scores lie apart, whatever their orders: what a threshold, a
cut or a weighted sum reads, and no measure of ranking sees.

Per query, the k-th highest score is compared with the k-th highest of the other trial. The mean of
these distances is the Wasserstein distance between the two lists of scores (Vallender, Theory of
Probability and Its Applications 1974): documents that change places do not add to it, and one
odd document adds little.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from bench.comparison.drift import Tolerance, usual_range, usual_tolerance
from bench.comparison.pairs import Side
from bench.quality import statistics

if TYPE_CHECKING:
    from bench.contract.candidates import QueryCandidates

    Rankings = Mapping[str, QueryCandidates]


class Level(NamedTuple):
    """The median over queries of a score, in the baseline and in the new run."""

    before: float
    now: float


@dataclass(frozen=True)
class Scale:
    """Two trials' scores of the same queries: the mean distance between their k-th highest scores
    per query, what is allowed, the range of the baseline's scores, the medians of the best
    and of the lowest score per query, mean Kendall tau of the orders, and queries that only one of
    the two ranked. `moved` are the queries whose own distance is more than is allowed.
    """

    queries: int
    moved: int
    unshared: int
    distance: float
    allowed: float
    range: float
    best: Level
    lowest: Level
    tau: float
    is_order_only: bool
    """Whether the scores of both number the places of an order: n, n-1, ..., 1."""

    @property
    def share(self) -> float:
        """The distance as a share of the baseline's range; infinite where that is 0 and the
        distance is not.
        """
        if self.range:
            return self.distance / self.range
        return 0.0 if not self.distance else float("inf")

    @property
    def is_within(self) -> bool | None:
        """Whether the scale is the same; None where no query was ranked by both."""
        if not self.queries:
            return None
        return self.distance <= self.allowed

    def to_dict(self) -> dict[str, float | None]:
        """Return the numbers as outputs have them."""
        return {
            "queries": self.queries,
            "moved": self.moved,
            "unshared": self.unshared,
            "distance": self.distance,
            "allowed": self.allowed,
            "range": self.range,
            "best_before": self.best.before,
            "best_now": self.best.now,
            "lowest_before": self.lowest.before,
            "lowest_now": self.lowest.now,
            "tau": self.tau,
            "kept": self.is_within,
        }


def scale_tolerance(new: Side, baseline: Side) -> Tolerance:
    """Return what the coarser of the two number formats allows."""
    tolerances = [usual_tolerance(side.record.identity) for side in (new, baseline)]
    return max(tolerances, key=lambda tolerance: tolerance.score)


def scale(new: Side, baseline: Side, share: float) -> Scale:
    """Compare the scales of two rankings on disk, which hold every score. `share` is the part of
    the baseline's range of scores by which they may lie apart. Raises RecordError where a run does
    not hold its ranking.
    """
    import numpy as np

    ours, theirs = _scored(new), _scored(baseline)
    shared = [query for query in theirs if query in ours]
    distances: list[float] = []
    taus: list[float] = []
    ends: list[tuple[float, float, float, float]] = []
    for query in shared:
        before, now = _of_both(theirs[query], ours[query])
        if not before:
            continue
        distances.append(float(np.abs(np.sort(now) - np.sort(before)).mean()))
        taus.append(_tau(theirs[query], ours[query]))
        ends.append((max(before), max(now), min(before), min(now)))
    best, lowest, range_ = Level(0.0, 0.0), Level(0.0, 0.0), 0.0
    if ends:
        medians = [float(value) for value in np.median(ends, axis=0)]
        best, lowest = Level(*medians[:2]), Level(*medians[2:])
        range_ = usual_range([(end[2], end[0]) for end in ends])
    allowed = share * range_
    return Scale(
        queries=len(ends),
        moved=sum(distance > allowed for distance in distances),
        unshared=len(ours.keys() ^ theirs.keys()),
        distance=sum(distances) / max(1, len(distances)),
        allowed=allowed,
        range=range_,
        best=best,
        lowest=lowest,
        tau=sum(taus) / len(taus) if taus else 1.0,
        is_order_only=_are_places(ours) and _are_places(theirs),
    )


def _scored(side: Side) -> Rankings:
    """Return a trial's ranking; of a pipeline, at most as many documents as its last stage got."""
    rankings = side.run.ranking(side.trial.id)
    if not side.record.stages:
        return rankings
    received = side.record.stages[-1].received
    return {query: ranking.first(received) for query, ranking in rankings.items()}


def _of_both(
    theirs: QueryCandidates, ours: QueryCandidates
) -> tuple[Sequence[float], Sequence[float]]:
    """Return the scores of the documents that both lists have, in the order of the first."""
    now_of = dict(zip(ours.doc_ids, ours.scores, strict=True))
    before: list[float] = []
    now: list[float] = []
    for doc_id, score in zip(theirs.doc_ids, theirs.scores, strict=True):
        if doc_id in now_of:
            before.append(score)
            now.append(now_of[doc_id])
    return before, now


def _tau(theirs: QueryCandidates, ours: QueryCandidates) -> float:
    """Return Kendall's tau of two orders, over the documents of both."""
    place = {doc_id: i for i, doc_id in enumerate(ours.doc_ids)}
    ranks = [place[doc_id] for doc_id in theirs.doc_ids if doc_id in place]
    return statistics.kendall_tau(ranks)


def _are_places(rankings: Rankings) -> bool:
    """Return whether the scores of every query are n, n-1, ..., 1: they hold no more than the
    order.
    """
    longest = 0
    for ranking in rankings.values():
        length = len(ranking.doc_ids)
        if tuple(ranking.scores) != tuple(map(float, range(length, 0, -1))):
            return False
        longest = max(longest, length)
    return longest > 1
